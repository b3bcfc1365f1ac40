// The dashboard: asks for `debug/vars` once a second while it is seen, and draws what it was told.

import { element } from "./drawing.js";
import { counted, duration } from "./numbers.js";
import { cards, panels, ROOM } from "./panels.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;

const samples = [];
const place = document.getElementById("dashboard");
const state = document.getElementById("state");
const facts = document.getElementById("facts");
const answer = document.getElementById("answer");

function showState(told) {
  const { alive, ready, unready } = told.state;
  const reasons = Object.entries(unready).map(([name, reason]) => `${name}: ${reason}`);
  state.dataset.state = !alive ? "bad" : ready ? "good" : "wait";
  const words = ready ? ["ready", ...reasons] : reasons;
  state.textContent = alive ? words.join("; ") : "stuck: the main loop does not run";
}

function showFacts(told) {
  const { pid, python } = told.process;
  const started = told.metrics.process_start_time_seconds;
  const up = started ? `up ${duration(told.time - started)} · ` : "";
  const workers = told.workers ? `${counted(Object.keys(told.workers).length, "worker")} · ` : "";
  facts.textContent = `${up}${workers}process ${pid} · Python ${python}`;
}

async function ask() {
  try {
    const response = await fetch("debug/vars", { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
    if (!response.ok) throw new Error(`answered ${response.status}`);
    const told = await response.json();
    samples.push(told);
    if (samples.length > ROOM) samples.shift();
    showState(told);
    showFacts(told);
    draw();
    answer.textContent = "";
  } catch (error) {
    state.dataset.state = "bad";
    answer.textContent = `no answer from this process (${error.message}); what is below is old`;
  }
}

function draw() {
  place.replaceChildren(
    element("div", { class: "cards" }, ...cards(samples)),
    element("div", { class: "panels" }, ...panels(samples)),
  );
}

async function watch() {
  for (;;) {
    if (!document.hidden) await ask();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

watch();
