(() => {
  "use strict";
  const cards = document.getElementById("cards");
  const sort = document.getElementById("sort");
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  const all = Array.from(cards.children);
  const number = (card, key) => Number(card.dataset[key] || 0);
  const orders = {
    order: (a, b) => number(a, "order") - number(b, "order"),
    agreement: (a, b) => number(b, "agreement") - number(a, "agreement"),
    doubt: (a, b) => number(a, "agreement") - number(b, "agreement"),
    name: (a, b) => a.dataset.name.localeCompare(b.dataset.name),
  };
  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    all.sort(orders[sort.value]).forEach((card) => {
      card.hidden = !card.dataset.name.toLowerCase().includes(wanted);
      cards.append(card);
    });
    const visible = all.filter((card) => !card.hidden).length;
    count.textContent = visible === all.length ? `${visible} tasks` : `${visible} of ${all.length} tasks`;
  };
  sort.addEventListener("change", show);
  filter.addEventListener("input", show);
})();
