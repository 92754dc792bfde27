"use strict";
(() => {
  const root = document.documentElement;
  const KEY = "lightloom-theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // Storage is refused in some browsers for pages from a file: then a choice lasts as long as the page.
  const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const store = (value) => {
    try { value ? localStorage.setItem(KEY, value) : localStorage.removeItem(KEY); } catch { /* see above */ }
  };
  const choose = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  choose(stored());

  const make = (name, attributes = {}, text = "") => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  };

  function themeSwitch() {
    const button = make("button", { type: "button", class: "theme" });
    const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
    const tell = () => {
      button.textContent = isDark() ? "Light theme" : "Dark theme";
    };
    button.addEventListener("click", () => {
      const wanted = isDark() ? "light" : "dark";
      const followed = wanted === (dark.matches ? "dark" : "light"); // back to what the system says
      choose(followed ? null : wanted);
      store(followed ? null : wanted);
      tell();
    });
    dark.addEventListener("change", tell);
    tell();
    document.querySelector("nav.bar").append(button);
  }

  function contents() {
    const box = document.querySelector(".contents");
    if (!box) return;
    const wide = matchMedia("(min-width: 84rem)");
    const fit = () => { box.open = wide.matches; };
    wide.addEventListener("change", fit);
    fit();
    const links = new Map([...box.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
    box.addEventListener("click", (event) => { if (event.target.closest("a") && !wide.matches) box.open = false; });
    const headings = [...document.querySelectorAll("h2[id]")].filter((heading) => links.has(heading.id));
    const mark = () => {
      const ended = scrollY + innerHeight >= root.scrollHeight - 2;
      const line = ended ? innerHeight : innerHeight / 3;
      const passed = headings.filter((heading) => heading.getBoundingClientRect().top < line);
      const now = passed.at(-1);
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(now?.id)?.setAttribute("aria-current", "true");
    };
    addEventListener("scroll", mark, { passive: true });
    mark();
  }

  // Tables: every header becomes a button; absent values stay last whichever way it goes.
  function sortable(table) {
    const body = table.tBodies[0];
    const heads = table.tHead?.rows.length === 1 ? [...table.tHead.rows[0].cells] : [];
    const rows = body ? [...body.rows] : [];
    if (rows.length < 2 || rows.some((row) => row.cells.length !== heads.length)) return;
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = cell.textContent.trim();
      if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
      return text === "" || text === "–" ? null : text;
    };
    const compare = (one, other) =>
      typeof one === "number" && typeof other === "number"
        ? one - other
        : String(one).localeCompare(String(other), "en", { numeric: true });
    const sort = (head, column) => {
      const way = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort") ?? "none"];
      for (const each of heads) each.removeAttribute("aria-sort");
      if (way !== "none") head.setAttribute("aria-sort", way);
      const sign = way === "descending" ? -1 : 1;
      const keyed = rows.map((row) => [value(row, column), row]);
      if (way !== "none") {
        keyed.sort(([one], [other]) =>
          one === null || other === null ? (one === null) - (other === null) : sign * compare(one, other));
      }
      body.append(...keyed.map(([, row]) => row));
    };
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = make("button", { type: "button", class: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(head, column));
    });
  }

  // Marks of plots: the text that a browser would show late and never on touch or by keyboard.
  function marks() {
    const tip = make("div", { class: "tip", "aria-hidden": "true", hidden: "" });
    document.body.append(tip);
    let focused = false; // whether the keyboard brought it up: a tap moves the focus too, and must not hide it
    const hide = () => { tip.hidden = true; };
    const show = (text, x, y) => {
      tip.textContent = text;
      tip.hidden = false;
      const { width, height } = tip.getBoundingClientRect();
      const gap = 12;
      const above = y - height - gap;
      tip.style.left = `${Math.max(4, Math.min(x - width / 2, root.clientWidth - width - 4))}px`;
      tip.style.top = `${above < 4 ? y + gap : above}px`;
    };
    const over = (target) => target instanceof Element ? target.closest(".plot .mark") : null;

    for (const plot of document.querySelectorAll(".plot")) {
      const found = [...plot.querySelectorAll(".mark")];
      if (!found.length) continue;
      plot.setAttribute("role", "group"); // an image hides what is inside it from screen readers
      found.forEach((mark, index) => {
        const title = mark.querySelector(":scope > title");
        mark.setAttribute("role", "img");
        mark.setAttribute("aria-label", title.textContent);
        mark.setAttribute("tabindex", index ? "-1" : "0"); // one stop a plot; arrows go on from there
        title.remove();
      });
      plot.addEventListener("keydown", (event) => {
        const at = found.indexOf(document.activeElement);
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        const next = { Home: 0, End: found.length - 1 }[event.key] ?? (step ? at + step : -1);
        if (at < 0 || next < 0 || next >= found.length) return;
        event.preventDefault();
        found[at].tabIndex = -1;
        found[next].tabIndex = 0;
        found[next].focus();
      });
    }
    // Points lie close: the nearest one is meant, and with it those of other lines right above and below.
    const meant = (x, y) => {
      const under = [...new Set(document.elementsFromPoint(x, y).map(over).filter(Boolean))];
      const points = under.filter((mark) => mark.classList.contains("point")).map((mark) => {
        const box = mark.getBoundingClientRect();
        return { mark, x: box.left + box.width / 2, y: box.top + box.height / 2 };
      });
      if (!points.length) return under.slice(0, 1);
      const far = (point) => Math.hypot(point.x - x, point.y - y);
      const nearest = points.reduce((one, other) => (far(other) < far(one) ? other : one));
      return points.filter((point) => Math.abs(point.x - nearest.x) < 1).sort((one, other) => one.y - other.y)
        .map((point) => point.mark);
    };
    const point = (event) => {
      const marks = over(event.target) ? meant(event.clientX, event.clientY) : [];
      focused = false;
      if (marks.length) show(marks.map((mark) => mark.getAttribute("aria-label")).join("\n"), event.clientX, event.clientY);
      else hide();
    };
    document.addEventListener("pointermove", (event) => { if (event.pointerType !== "touch") point(event); });
    document.addEventListener("pointerdown", point);
    const showFocused = () => {
      const mark = over(document.activeElement);
      if (!mark?.matches(":focus-visible")) return;
      focused = true;
      const box = mark.getBoundingClientRect();
      show(mark.getAttribute("aria-label"), box.left + box.width / 2, box.top + Math.min(box.height / 2, 8));
    };
    document.addEventListener("focusin", showFocused);
    document.addEventListener("focusout", () => { if (focused) hide(); });
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
    const follow = () => {
      if (tip.hidden) return;
      if (focused) showFocused();
      else hide();
    };
    addEventListener("scroll", follow, { passive: true, capture: true });
  }

  function copyButtons() {
    for (const box of document.querySelectorAll("pre")) {
      const button = make("button", { type: "button", class: "copy" }, "Copy");
      const code = box.querySelector("code") ?? box;
      const said = (text) => {
        button.textContent = text;
        setTimeout(() => { button.textContent = "Copy"; }, 2000);
      };
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(code.textContent);
          said("Copied");
        } catch {
          getSelection().selectAllChildren(code);
          said(document.execCommand("copy") ? "Copied" : "Selected");
        }
      });
      const frame = make("div", { class: "command" });
      box.replaceWith(frame);
      frame.append(box, button);
    }
  }

  // On paper nothing can be opened.
  function printing() {
    const closed = []; // both events below may come
    const open = () => {
      for (const box of document.querySelectorAll("details:not([open])")) {
        closed.push(box);
        box.open = true;
      }
    };
    const restore = () => { for (const box of closed.splice(0)) box.open = false; };
    const print = matchMedia("print");
    print.addEventListener("change", () => (print.matches ? open() : restore()));
    addEventListener("beforeprint", open);
    addEventListener("afterprint", restore);
  }

  document.addEventListener("DOMContentLoaded", () => {
    root.classList.add("scripted");
    themeSwitch();
    contents();
    document.querySelectorAll("table").forEach(sortable);
    marks();
    copyButtons();
    printing();
  });
})();
