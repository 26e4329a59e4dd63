// Chips, the choices of labels and caption lengths and the form "this, but" of the results: each asks for another address.
document.addEventListener('click', (event) => {
  const chip = event.target.closest('#results button[data-refine]');
  if (chip) window.pairscope.search({[chip.dataset.refine]: chip.value});
});
document.addEventListener('change', (event) => {
  if (event.target.matches('#results select[data-refine]'))
    window.pairscope.search({[event.target.dataset.refine]: event.target.value});
});
document.addEventListener('submit', (event) => {
  const form = event.target.closest('#results form.change');
  if (!form) return;
  event.preventDefault();
  const {but, instead} = Object.fromEntries(new FormData(form));
  const search = JSON.parse(form.dataset.search);
  window.pairscope.search({...search, but, instead}, search.picture ? history.state : null);
});
