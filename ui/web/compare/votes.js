// The votes of blind comparisons, kept in this tab only: [{query, models, vote}].
let votes = [];
try {
  votes = JSON.parse(sessionStorage.getItem('blind-votes') ?? '[]');
} catch {
  // the browser keeps nothing for this site: the votes are forgotten with this page
}

function count(query, models, vote) {
  votes = [...votes, {query, models: models.join(' | '), vote}];
  try {
    sessionStorage.setItem('blind-votes', JSON.stringify(votes));
  } catch {
    // see above
  }
}

function tally() {
  const numbers = new Map();
  for (const {vote} of votes) numbers.set(vote, (numbers.get(vote) ?? 0) + 1);
  return `Your votes: ${[...numbers].map((each) => each.join(' ')).join(', ')}`;
}

// A text that a spreadsheet would take for a formula is quoted with a '.
function saveVotes() {
  const cell = (value) => `"${value.replaceAll('"', '""').replace(/^[=+\-@\t\r]/, "'$&")}"`;
  const rows = [['query', 'models', 'vote'], ...votes.map(({query, models, vote}) => [query, models, vote])];
  const text = rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
  const href = URL.createObjectURL(new Blob([text], {type: 'text/csv'}));
  Object.assign(document.createElement('a'), {href, download: 'pairscope-votes.csv'}).click();
  URL.revokeObjectURL(href);
}
