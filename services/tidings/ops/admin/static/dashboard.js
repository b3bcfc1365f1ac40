// The dashboard: asks for `debug/vars` once a second while it is seen, and draws what it was told.

import { element } from "./drawing.js";
import { counted, duration } from "./numbers.js";
import { cards, panels, ROOM } from "./panels.js";
import { drawn, REFUSES, troubles } from "./troubles.js";

const EVERY_MS = 1000;
const PATIENCE_MS = 5000;

const samples = [];
const place = document.getElementById("dashboard");
const state = document.getElementById("state");
const facts = document.getElementById("facts");
const answer = document.getElementById("answer");
const wrong = document.getElementById("troubles");

function showState(told) {
  const { alive, ready, unready } = told.state;
  const found = troubles(samples);
  const reasons = Object.entries(unready).map(([name, reason]) => `${name}: ${reason}`);
  // What is not ready waits, most often for what is wrong; what refuses does not wait.
  const grave = found.length > 0 && (ready || found.some(({ runbook }) => runbook === REFUSES));
  state.dataset.state = !alive || grave ? "bad" : ready ? "good" : "wait";
  const words = ready ? [found.length ? "ready, but with problems" : "ready", ...reasons] : reasons;
  state.textContent = alive ? words.join("; ") : "stuck: the main loop does not run";
  const lines = found.map(drawn);
  // Only what has changed: whoever listens to the page hears it once, and a link that has the focus keeps it.
  if (lines.map((line) => line.textContent).join("") !== wrong.textContent) wrong.replaceChildren(...lines);
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
    answer.textContent = `no answer from this process (${error.message}). The numbers below are old`;
  }
}

const stops = () => [...place.querySelectorAll("a, .panel")];

function draw() {
  const focused = stops().indexOf(document.activeElement);
  const scrolled = stops().map((stop) => stop.scrollLeft);
  place.replaceChildren(
    element("div", { class: "cards" }, ...cards(samples)),
    element("div", { class: "panels" }, ...panels(samples)),
  );
  stops().forEach((stop, at) => {
    stop.scrollLeft = scrolled[at] ?? 0;
    // What does not fit can be scrolled with the keyboard.
    if (stop.scrollWidth > stop.clientWidth && stop.matches(".panel")) stop.tabIndex = 0;
  });
  stops()[focused]?.focus({ preventScroll: true });
}

async function watch() {
  for (;;) {
    if (!document.hidden) await ask();
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

watch();
