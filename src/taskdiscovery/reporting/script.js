(() => {
  "use strict";
  const save = (name, address) => {
    const link = document.createElement("a");
    link.download = name;
    link.href = address;
    link.click();
  };
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const saveRows = (name, rows) => {
    const cell = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const text = rows.map((row) => row.map(cell).join(",")).join("\n");
    save(`${name}.csv`, `data:text/csv;charset=utf-8,${encodeURIComponent(`${text}\n`)}`);
  };
  document.querySelectorAll("main table").forEach((table, number) => {
    const button = document.createElement("button");
    const caption = table.querySelector("caption");
    const section = table.closest("article, section");
    const heading = section && section.querySelector("h2, h3");
    const name = words(caption || heading || table).slice(0, 60);
    button.type = "button";
    button.className = "save";
    button.textContent = "save as CSV";
    button.setAttribute("aria-label", `Save the table ${name} as CSV`);
    button.addEventListener("click", () => {
      const rows = Array.from(table.rows, (row) => Array.from(row.cells, words));
      saveRows(`table-${number + 1}`, rows);
    });
    (table.closest(".wide") || table).after(button);
  });
  document.querySelectorAll(".saving").forEach((line) => {
    const name = line.dataset.sheet;
    const own = line.closest("article, section");
    line.hidden = false;
    line.querySelectorAll(".pictures").forEach((button) => {
      button.addEventListener("click", () => {
        const style = getComputedStyle(document.documentElement);
        const address = style.getPropertyValue(`--s-${name}`).trim().slice(4, -1);
        save(`${name}.${address.slice(5).startsWith("image/png") ? "png" : "jpg"}`, address);
      });
    });
    line.querySelector(".listed").addEventListener("click", () => {
      const rows = [["row", "column", "name"]];
      own.querySelectorAll(".strip, .names").forEach((strip) => {
        const heading = strip.previousElementSibling;
        Array.from(strip.children).forEach((cell, i) => {
          const title = cell.title || words(cell);
          rows.push([heading ? words(heading) : "", String(i + 1), title]);
        });
      });
      saveRows(`${name}-names`, rows);
    });
  });
  const closed = [];
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not([open])").forEach((details) => {
      closed.push(details);
      details.open = true;
    });
  });
  addEventListener("afterprint", () => {
    closed.splice(0).forEach((details) => (details.open = false));
  });
})();
(() => {
  "use strict";
  const cards = document.getElementById("cards");
  if (!cards) return;
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
