// Chromium for Linux knows no type of HEIC files, and Gradio's box refuses what has not the type of an image.
const HEIC = /\.(heic|heif|hif)$/i;
const isUntyped = (file) => !file.type && HEIC.test(file.name);

function typed(files) {
  const list = new DataTransfer();
  for (const file of files) {
    list.items.add(isUntyped(file) ? new File([file], file.name, {type: 'image/heic'}) : file);
  }
  return list;
}

// Before the box, which listens on elements further down.
document.addEventListener('click', (event) => {
  const box = event.target.closest('#picture');
  for (const input of box?.querySelectorAll('input[type=file]') ?? []) input.accept = 'image/*,.heic,.heif,.hif';
}, true);
document.addEventListener('change', ({target}) => {
  if (!target.matches('#picture input[type=file]') || ![...target.files].some(isUntyped)) return;
  target.files = typed(target.files).files;
}, true);
document.addEventListener('drop', (event) => {
  const {target, dataTransfer} = event;
  if (!target.closest('#picture') || ![...dataTransfer.files].some(isUntyped)) return;
  event.preventDefault();
  event.stopPropagation();
  const again = {bubbles: true, cancelable: true, dataTransfer: typed(dataTransfer.files)};
  target.dispatchEvent(new DragEvent('drop', again));
}, true);
