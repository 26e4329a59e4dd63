// The theme and the size of the type that the visitor chose are applied before anything is shown.
window.pairscopeDisplay = (() => {
  const root = document.documentElement;
  const kept = (name) => {
    try {
      return localStorage.getItem(`pairscope.${name}`);
    } catch {
      return null; // the browser keeps nothing for this site
    }
  };
  const keep = (name, value) => {
    try {
      localStorage.setItem(`pairscope.${name}`, value);
    } catch {
      // it is forgotten with this page
    }
  };
  let wanted = kept('dark');
  const theme = () => { // Gradio sets the class, too, by the theme of the system
    const {classList} = document.body;
    if (wanted && classList.contains('dark') !== (wanted === 'yes')) classList.toggle('dark', wanted === 'yes');
    root.style.colorScheme = classList.contains('dark') ? 'dark' : 'light';
  };
  const large = (yes) => root.toggleAttribute('data-large', yes);
  large(kept('large') === 'yes');
  document.addEventListener('DOMContentLoaded', () => {
    theme();
    new MutationObserver(theme).observe(document.body, {attributes: true, attributeFilter: ['class']});
  });
  return {
    large(yes) {
      large(yes);
      keep('large', yes ? 'yes' : 'no');
    },
    dark(yes) {
      wanted = yes ? 'yes' : 'no';
      keep('dark', wanted);
      theme();
    },
  };
})();
