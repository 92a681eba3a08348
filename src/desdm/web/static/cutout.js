// A picture that cannot be made says why in its own place.
import { ask, element, trouble } from "./vo.js";

for (const picture of document.querySelectorAll(".pictures img")) {
  const tell = async () => {
    const answer = await ask(picture.src);
    const said = answer.ok ? "the picture could not be shown; load the page again" : await trouble(answer);
    picture.closest("a").replaceWith(element("div", { class: "note warn" }, element("p", {}, said)));
  };
  if (picture.complete && picture.naturalWidth === 0) tell();
  else picture.addEventListener("error", tell, { once: true });
}
