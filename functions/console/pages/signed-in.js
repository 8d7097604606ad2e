// Where the issuer sends the user back to.
import { byId, say } from "./dom.js";
import { finish, whereFrom } from "./oidc.js";

try {
  location.replace(await finish());
} catch (error) {
  say(byId("problem"), `The sign-in did not succeed. ${error instanceof Error ? error.message : ""}`);
  byId("back").href = whereFrom();
  byId("back").hidden = false;
}
