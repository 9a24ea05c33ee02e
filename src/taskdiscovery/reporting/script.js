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
  const hidden = new Set();
  const again = document.getElementById("all");
  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    all.sort(orders[sort.value]).forEach((card) => {
      const text = `${card.dataset.name} ${card.dataset.verdict}`.toLowerCase();
      card.hidden = hidden.has(card) || !text.includes(wanted);
      cards.append(card);
    });
    const visible = all.filter((card) => !card.hidden).length;
    count.textContent = visible === all.length ? `${visible} tasks` : `${visible} of ${all.length} tasks`;
  };
  all.forEach((card) => {
    card.querySelector(".hide").addEventListener("click", () => {
      hidden.add(card);
      again.hidden = false;
      show();
      again.focus();
    });
  });
  again.addEventListener("click", () => {
    hidden.clear();
    again.hidden = true;
    show();
    sort.focus();
  });
  sort.addEventListener("change", show);
  filter.addEventListener("input", show);
})();
