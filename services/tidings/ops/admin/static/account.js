// The page of an account: its search leads to other accounts, its button closes connections once that is confirmed.

const search = document.querySelector("form");
const button = document.getElementById("disconnect");
const answer = document.getElementById("answer");

search.addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(encodeURIComponent(new FormData(search).get("account").trim()));
});

async function disconnect(account) {
  const path = `${encodeURIComponent(account)}/disconnect?code=1008`;
  const response = await fetch(path, { method: "POST", headers: { "X-Requested-With": "dashboard" } });
  const told = await response.json();
  if (!response.ok) throw new Error(told.detail ?? `the gateway answered ${response.status}`);
  return told.disconnected === 1 ? "1 connection was closed." : `${told.disconnected} connections were closed.`;
}

button?.addEventListener("click", async () => {
  const { account } = button.dataset;
  if (!confirm(`Close all connections of ${account}?`)) return;
  button.disabled = true;
  try {
    answer.textContent = await disconnect(account);
  } catch (error) {
    answer.textContent = `No connection was closed: ${error.message}`;
  }
  button.disabled = false;
});
