// Begins with the overview, and goes on with the feed at the place in the log that the overview is of. So every event is counted once: those before it
// are in the overview, those after it are in the feed, and a browser that was cut off asks for what came after the last event that it has had.

const LATEST = 50;
const find = (id) => document.getElementById(id);
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const whole = new Intl.NumberFormat("en-US");

const figures = { placed: 0, shipped: 0, cancelled: 0, sales: 0, revenue: 0 };
let feed;

async function begin() {
  feed?.close();
  connection("connecting");
  try {
    const answer = await fetch("/api/overview");
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
  } catch {
    connection("away");
    setTimeout(begin, 1000);
  }
}

function show(overview) {
  for (const name of Object.keys(figures)) figures[name] = overview[name];
  find("orders").replaceChildren(...overview.latest.map(row));
  render();
  follow(overview.as_of);
}

function follow(after) {
  feed = new EventSource(`/api/feed?after=${encodeURIComponent(after)}`);
  feed.addEventListener("order_placed", (event) => {
    const order = JSON.parse(event.data);
    figures.placed += 1;
    figures.sales += order.total;
    const added = row(order);
    added.classList.add("fresh");
    find("orders").prepend(added);
    while (find("orders").children.length > LATEST) find("orders").lastElementChild.remove();
    render();
  });
  feed.addEventListener("order_shipped", (event) => {
    const { order, total } = JSON.parse(event.data);
    figures.shipped += 1;
    figures.revenue += total;
    became(order, "shipped");
    render();
  });
  feed.addEventListener("order_cancelled", (event) => {
    const { order, total } = JSON.parse(event.data);
    figures.cancelled += 1;
    figures.sales -= total;
    became(order, "cancelled");
    render();
  });
  feed.addEventListener("caught_up", () => connection("live"));
  feed.addEventListener("error", () => {
    connection("away");
    // The browser connects anew by itself, unless it was told that there is no going on from that place.
    if (feed.readyState === EventSource.CLOSED) setTimeout(begin, 1000);
  });
}

function connection(state) {
  const said = { connecting: "connecting", live: "live", away: "connection lost, trying again" };
  find("connection").dataset.state = state;
  find("connection").textContent = said[state];
}

function render() {
  for (const name of ["placed", "shipped", "cancelled"]) find(name).textContent = whole.format(figures[name]);
  for (const name of ["sales", "revenue"]) find(name).textContent = dollars.format(figures[name] / 100);
  find("none").hidden = find("orders").children.length > 0;
}

function row(order) {
  const made = find("row").content.cloneNode(true).firstElementChild;
  const cell = (name) => made.querySelector(`.${name}`);
  made.dataset.order = order.order;
  // The end of an id is what differs between two that were made at about the same time.
  cell("id").textContent = order.order.slice(-8);
  cell("id").title = order.order;
  cell("customer").textContent = order.customer;
  cell("customer").title = order.customer;
  cell("date").textContent = order.ordered_on;
  cell("count").textContent = whole.format(order.item_count);
  cell("total").textContent = dollars.format(order.total / 100);
  cell("cancel").setAttribute("aria-label", `Cancel order ${order.order.slice(-8)} of ${order.customer}`);
  cell("cancel").addEventListener("click", () => cancel(order.order));
  return stands(made, order.status);
}

function became(order, status) {
  const shown = document.querySelector(`tr[data-order="${order}"]`);
  if (shown) stands(shown, status);
}

function stands(shown, status) {
  const button = shown.querySelector(".cancel");
  // Whoever has just pressed it goes on from the same place.
  if (status !== "placed" && button === document.activeElement) find("latest").parentElement.querySelector(".scroll").focus();
  shown.dataset.status = status;
  shown.querySelector(".status").textContent = status;
  button.hidden = status !== "placed";
  return shown;
}

async function cancel(order) {
  const button = document.querySelector(`tr[data-order="${order}"] .cancel`);
  button.disabled = true;
  const problem = await send(`/api/orders/${order}/cancellation`, { reason: "cancelled on the page" });
  button.disabled = false;
  find("said").textContent = problem ? `Not cancelled: ${words(problem)}` : `Order ${order.slice(-8)} is cancelled.`;
}

// Names the wish, so that sending it again after a lost answer does not make two orders of it.
let wish = crypto.randomUUID();
find("place").addEventListener("input", () => { wish = crypto.randomUUID(); });

find("place").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  faults(null);
  const quantity = find("quantity").valueAsNumber;
  const today = new Date();
  const problem = await send("/api/orders", {
    customer: find("customer").value,
    ordered_on: [today.getFullYear(), today.getMonth() + 1, today.getDate()].map((part) => String(part).padStart(2, "0")).join("-"),
    items: [{ product: find("product").value, quantity, amount: Math.round(find("price").valueAsNumber * 100) * quantity }],
  }, { "Idempotency-Key": wish });
  button.disabled = false;
  if (problem) return faults(problem);
  wish = crypto.randomUUID();
  find("said").textContent = "The order is placed.";
});

// What went wrong, or nothing.
async function send(path, body, headers = {}) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    return answer.ok ? null : await answer.json();
  } catch {
    return { title: "The shop can't be reached: try again" };
  }
}

function words(problem) {
  return problem.detail ?? problem.errors?.map((fault) => fault.detail).join("; ") ?? problem.title;
}

function faults(problem) {
  for (const input of document.querySelectorAll("[data-field]")) input.removeAttribute("aria-invalid");
  const said = [];
  for (const fault of problem?.errors ?? []) {
    const input = document.querySelector(`[data-field="${fault.field}"]`);
    input?.setAttribute("aria-invalid", "true");
    input?.setAttribute("aria-describedby", "faults");
    said.push(input ? `${document.querySelector(`label[for="${input.id}"]`).textContent}: ${fault.detail}` : fault.detail);
  }
  if (problem && said.length === 0) said.push(words(problem));
  find("faults").textContent = said.join("; ");
  find("faults").hidden = said.length === 0;
  document.querySelector('[aria-invalid="true"]')?.focus();
}

begin();
