import { toBehestError } from "./error.js";

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

  /** Calls `use(core, instance)`. Settles in any case, also when the instance dies meanwhile. */
  async run(use) {
    try {
      const instance = await this.#load();
      if (this.#instance !== instance) {
        this.#instance = instance;
        this.#core = undefined;
        this.#making = Promise.resolve(instance).then(this.#create);
      }
      return await instance.settle(this.#making.then((core) => use((this.#core = core), instance)));
    } catch (error) {
      // An object that could not be made is no object: the next call tries again.
      if (!this.#core) this.#instance = undefined;
      throw toBehestError(error);
    }
  }
}
