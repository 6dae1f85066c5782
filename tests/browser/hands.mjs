// Two ways to use a page. Both find things as a person does: by their label.

/** Somebody with a mouse. */
export class Mouse {
  constructor(page) { this.page = page; }

  async fill(label, text) { await this.page.getByLabel(label, { exact: true }).fill(text); }

  async tick(label, wanted) { await this.page.getByLabel(label).setChecked(wanted); }

  async choose(label) { await this.page.getByRole("radio", { name: label }).check(); }

  async press(name) { await this.page.getByRole("button", { name, exact: true }).click(); }

  async follow(name) { await this.page.getByRole("link", { name }).first().click(); }
}

/** Steps with the Tab key after which something counts as out of reach. */
const STEPS_MAX = 120;

/** Somebody with a keyboard only. Whatever has the focus must show it. */
export class Keyboard {
  constructor(page) { this.page = page; }

  /** Tab until the focus is there; `related` takes another one of the same radio group as there, too. */
  async reach(target, related = false) {
    await target.waitFor();
    for (let step = 0; step < STEPS_MAX; step += 1) {
      const there = await target.evaluate((wanted, group) => {
        const at = document.activeElement;
        return at === wanted || (group && at?.type === "radio" && at.name === wanted.name);
      }, related);
      if (there) { return this.seen(); }
      await this.page.keyboard.press("Tab");
    }
    throw new Error(`${target} is not reached with the Tab key on ${this.page.url()}`);
  }

  async seen() {
    const width = await this.page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
    });
    if (width < 2) { throw new Error(`the focus is not seen on ${this.page.url()}`); }
  }

  async fill(label, text) {
    await this.reach(this.page.getByLabel(label, { exact: true }));
    await this.page.keyboard.press("Control+A");
    await this.page.keyboard.type(text);
  }

  async tick(label, wanted) {
    const box = this.page.getByLabel(label);
    await this.reach(box);
    if (await box.isChecked() !== wanted) { await this.page.keyboard.press("Space"); }
  }

  async choose(label) {
    const radio = this.page.getByRole("radio", { name: label });
    await this.reach(radio, true);
    for (let step = 0; step < STEPS_MAX && !await radio.isChecked(); step += 1) {
      await this.page.keyboard.press("ArrowDown");
    }
  }

  async press(name) { await this.go(this.page.getByRole("button", { name, exact: true })); }

  async follow(name) { await this.go(this.page.getByRole("link", { name }).first()); }

  async go(target) {
    await this.reach(target);
    await Promise.all([this.page.waitForNavigation(), this.page.keyboard.press("Enter")]);
  }
}
