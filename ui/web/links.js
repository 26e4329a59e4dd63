// Links of the Learn page keep the chosen gallery, also in a new tab. This is part of the head, because a link can
// be used before the script of its page has started.

// Returns the parameters of another address of the page, with the chosen gallery, as the masthead names it.
window.pairscopeWithGallery = (search) => {
  const wanted = new URLSearchParams(search), gallery = new URLSearchParams(location.search).get('g');
  if (gallery !== null && !wanted.has('g')) wanted.set('g', gallery);
  return wanted;
};
// The browser opens the address itself in a new tab, after one of these events.
for (const before of ['pointerdown', 'focusin'])
  document.addEventListener(before, ({target}) => {
    const link = target.closest('a[data-learn]');
    if (link) link.search = window.pairscopeWithGallery(link.search);
  });
