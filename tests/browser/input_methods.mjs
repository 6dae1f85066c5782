// Two ways to use a page. Both find elements by their label, as a user does.

/** A user with a mouse. */
export class Mouse {
  constructor(page) { this.page = page; }

  async fill(label, text) { await this.page.getByLabel(label, { exact: true }).fill(text); }

  async tick(label, checked) { await this.page.getByLabel(label).setChecked(checked); }

  async choose(label) { await this.page.getByRole("radio", { name: label }).check(); }

  async press(name) { await this.page.getByRole("button", { name, exact: true }).click(); }

  async follow(name) { await this.page.getByRole("link", { name }).first().click(); }

  /** Opens a folded part of the page. */
  async open(summary) { await summary.click(); }
}

/** Number of Tab key presses after which an element counts as unreachable. */
const STEPS_MAX = 120;

/** A user with only a keyboard. The focused element must be visibly focused. */
export class Keyboard {
  constructor(page) { this.page = page; }

  /** Presses Tab until the target is focused; with `related`, another button of the same radio group also counts. */
  async focus(target, related = false) {
    await target.waitFor();
    for (let step = 0; step < STEPS_MAX; step += 1) {
      const there = await target.evaluate((element, group) => {
        const at = document.activeElement;
        return at === element || (group && at?.type === "radio" && at.name === element.name);
      }, related);
      if (there) { return this.checkFocusRing(); }
      await this.page.keyboard.press("Tab");
    }
    throw new Error(`${target} is not reached with the Tab key on ${this.page.url()}`);
  }

  async checkFocusRing() {
    const width = await this.page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
    });
    if (width < 2) { throw new Error(`the focus is not visible on ${this.page.url()}`); }
  }

  /** Opens a folded part of the page. */
  async open(summary) {
    await this.focus(summary);
    await this.page.keyboard.press("Enter");
  }

  async fill(label, text) {
    await this.focus(this.page.getByLabel(label, { exact: true }));
    await this.page.keyboard.press("Control+A");
    await this.page.keyboard.type(text);
  }

  async tick(label, checked) {
    const box = this.page.getByLabel(label);
    await this.focus(box);
    if (await box.isChecked() !== checked) { await this.page.keyboard.press("Space"); }
  }

  async choose(label) {
    const radio = this.page.getByRole("radio", { name: label });
    await this.focus(radio, true);
    for (let step = 0; step < STEPS_MAX && !await radio.isChecked(); step += 1) {
      await this.page.keyboard.press("ArrowDown");
    }
  }

  async press(name) { await this.go(this.page.getByRole("button", { name, exact: true })); }

  async follow(name) { await this.go(this.page.getByRole("link", { name }).first()); }

  async go(target) {
    await this.focus(target);
    await Promise.all([this.page.waitForNavigation(), this.page.keyboard.press("Enter")]);
  }
}
