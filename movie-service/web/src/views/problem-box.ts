import { html, nothing } from "lit";
import { needsToken, type Problem, sentence } from "../service/errors";
import { t } from "../text";

/** Returns a problem with a remedy: another token if the service asks for one, else another attempt. */
export function problemBox(problem: Problem, retry?: () => void) {
  const askToken = (event: Event) => event.target!.dispatchEvent(new Event("ask-token", { bubbles: true }));
  const button = (text: string, run: (event: Event) => void) => html`<button class="button" type="button" @click=${run}>${text}</button>`;
  return html`<div class="problem" role="alert" tabindex="-1">
    <p>${sentence(problem)}</p>
    ${needsToken(problem) ? button(t().token.enter, askToken) : retry ? button(t().app.retry, retry) : nothing}
  </div>`;
}
