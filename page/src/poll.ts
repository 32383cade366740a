// Work that is done again and again while somebody looks.

export interface Poll {
  /** Now, and from then on as ever. */
  again(): void;
  /** From now on so often, in milliseconds. */
  every(ms: number): void;
}

const polls: (() => void)[] = [];
let isPaused = false;

/** Whether the user has stopped all refreshing. */
export function paused(): boolean {
  return isPaused;
}

export function pause(yes: boolean): void {
  isPaused = yes;
  if (!yes) for (const wake of polls) wake();
}

/** After slow work the pause is this many times as long as the work: a small machine is not kept busy by us. */
const REST = 2;

/** Runs `work` at once and then every `ms`, not while the page is hidden or paused. */
export function poll(ms: number, work: () => Promise<void>): Poll {
  let timer = 0;
  let isRunning = false;
  let wanted = false;
  const run = async () => {
    clearTimeout(timer);
    if (isRunning) {
      wanted = true;
      return;
    }
    isRunning = true;
    const started = performance.now();
    try {
      await work();
    } catch (error) {
      console.error(error);
    }
    isRunning = false;
    if (wanted) {
      wanted = false;
      void run();
      return;
    }
    const took = performance.now() - started;
    timer = window.setTimeout(tick, Math.max(ms - took, took * REST));
  };
  const tick = () => {
    if (!document.hidden && !isPaused) void run();
  };
  document.addEventListener('visibilitychange', tick);
  polls.push(tick);
  void run();
  return {
    again: () => void run(),
    every: (next) => {
      ms = next;
    },
  };
}
