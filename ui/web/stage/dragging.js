// Dragging: a drawing of the thing follows the pointer, and the thing itself goes where it can be.
function dragged(board, handle, event, {thing, moved, dropped}) {
  const from = board.getBoundingClientRect();
  const [x, y] = [event.clientX, event.clientY];
  const ghost = part('.stage-ghost');
  let far = false;
  let next = 0; // the time of the next request, at most eight in a second

  function at(now) {
    return [(now.clientX - x) / from.width, (now.clientY - y) / from.height];
  }
  function move(now) {
    const [right, down] = at(now);
    if (!far && Math.hypot(now.clientX - x, now.clientY - y) < 4) return;
    if (!far) {
      far = true;
      ghost.src = thing.drawing;
      ghost.style.setProperty('--turned', thing.flip ? -1 : 1);
      ghost.hidden = false;
      board.classList.add('is-dragging');
    }
    const [left, top, ...corner] = thing.box;
    place(ghost, [left + right, top + down, corner[0] + right, corner[1] + down]);
    if (now.timeStamp < next) return;
    next = now.timeStamp + 125;
    moved(thing.x + right, thing.y + down);
  }
  function end(now) {
    handle.removeEventListener('pointermove', move);
    ghost.hidden = true;
    board.classList.remove('is-dragging');
    if (!far) return;
    const [right, down] = at(now);
    if (now.type === 'pointerup') moved(thing.x + right, thing.y + down);
    dropped();
  }
  handle.setPointerCapture(event.pointerId);
  handle.addEventListener('pointermove', move);
  for (const type of ['pointerup', 'pointercancel']) handle.addEventListener(type, end, {once: true});
}
