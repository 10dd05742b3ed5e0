// The server's answers. What changes something carries the page's token, which other sites cannot read.

const TOKEN = () => document.querySelector('meta[name="token"]').content;

async function answer(response) {
  if (response.ok) return response.json();
  throw new Error(await response.text() || response.statusText);
}

export function get(path, query = {}) {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value !== undefined));
  return fetch(`${path}?${asked}`, { cache: "no-store" }).then(answer);
}

export function post(path, body = {}) {
  return fetch(path, { method: "POST", headers: { "X-Token": TOKEN(), "Content-Type": "application/json" }, body: JSON.stringify(body) }).then(answer);
}

export function say(clip, person, verdict, note) {
  return post(`/api/clip/${clip}/verdict`, { person, verdict, note });
}

export function thumbOf(row) {
  return `/thumb/${row.id}/${row.number}`;
}
