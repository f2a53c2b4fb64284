'use strict';
// Tables that sort by a click on a heading, filter by a list and search in all cells.
function makeTable(table) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const headings = Array.from(table.tHead.rows[0].cells);
  const controls = document.querySelector(`.controls[data-table="${table.id}"]`);
  const value = (row, column) => {
    const cell = row.cells[column];
    const given = cell.dataset.value;
    if (given === undefined) return cell.textContent.trim();
    return given === '' ? null : Number(given);
  };
  function compare(a, b) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === 'number' && typeof b === 'number') return a - b;
    return String(a).localeCompare(String(b), undefined, {numeric: true});
  }
  headings.forEach((heading, column) => {
    heading.querySelector('button').addEventListener('click', () => {
      const falling = heading.getAttribute('aria-sort') === 'ascending';
      headings.forEach((h) => h.removeAttribute('aria-sort'));
      heading.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
      const sorted = rows.slice().sort((a, b) => {
        const x = value(a, column);
        const y = value(b, column);
        const unknown = x === null || y === null; // what is not known comes last
        return unknown ? compare(x, y) : (falling ? -1 : 1) * compare(x, y);
      });
      sorted.forEach((row) => body.append(row));
    });
  });
  if (!controls) return;
  const search = controls.querySelector('[data-search]');
  const filters = Array.from(controls.querySelectorAll('[data-filter]'));
  const count = controls.querySelector('[data-count]');
  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const found =
        words.every((word) => text.includes(word)) &&
        filters.every((f) => !f.value || row.dataset[f.dataset.filter] === f.value);
      row.hidden = !found;
      shown += found;
    }
    count.textContent = `${shown} of ${rows.length}`;
  }
  search.addEventListener('input', show);
  filters.forEach((f) => f.addEventListener('change', show));
  show();
}
document.querySelectorAll('table.data').forEach(makeTable);
