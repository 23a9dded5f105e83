import { aborted, timedOut, toBehestError } from "./error.js";

/** Keeps the object in the module that `create` makes, and makes it anew when its instance was replaced. */
export class CoreHolder {
  #load;
  #create;
  #instance;
  #making;
  #core;

  constructor(load, create) {
    this.#load = load;
    this.#create = create;
  }

  /** The object, if it exists and its instance lives. */
  get current() {
    return this.#instance?.alive ? this.#core : undefined;
  }

  /**
   * Calls `use(core, instance, options)`. Settles in any case: when the instance dies meanwhile, and also while the
   * module is still loading, when the call's signal fires or its time is over.
   */
  async run(use, options = {}) {
    try {
      const began = Date.now();
      const instance = await inTime(this.#load(), options);
      const { timeoutMs } = options;
      const left = timeoutMs > 0 ? { timeoutMs: Math.max(0, timeoutMs - (Date.now() - began)) } : {};
      if (this.#instance !== instance) {
        this.#instance = instance;
        this.#core = undefined;
        this.#making = Promise.resolve(instance).then(this.#create);
      }
      const call = (core) => use((this.#core = core), instance, { ...options, ...left });
      return await instance.settle(this.#making.then(call));
    } catch (error) {
      // An object that could not be made is no object: the next call tries again.
      if (!this.#core) this.#instance = undefined;
      throw toBehestError(error);
    }
  }
}

/** As `promise`, unless the signal fires or the time is over before. (What follows the loading, the module watches itself.) */
function inTime(promise, { signal, timeoutMs }) {
  return new Promise((resolve, reject) => {
    const stop = () => reject(aborted());
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    const timer = timeoutMs >= 0 && timeoutMs < Infinity ? setTimeout(() => reject(timedOut(timeoutMs)), timeoutMs) : undefined;
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    });
  });
}
