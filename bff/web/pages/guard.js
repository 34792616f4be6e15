/* Ends what a tab shows when its session ends. Inserted first in the head of Streamlit documents. */
(() => {
  "use strict";
  const auth = new URL(document.currentScript.src).pathname.replace(/\/guard\.js$/, "");
  const SETTLE_MS = 500;
  const MAX_MOVES = 3;
  const WINDOW_MS = 30000;
  const ENDED = 4401;
  const RECONNECT = 1012;
  const TOLD_MS = 20000;
  const nativeFetch = window.fetch.bind(window);
  let person = null;
  let busy = false;
  let leaving = false;

  const ask = async () => {
    const answer = await nativeFetch(auth + "/session", { cache: "no-store", credentials: "same-origin" });
    if (answer.status === 401) return "";
    if (!answer.ok) return null;
    const session = await answer.json();
    return session.iss + " " + session.sub;
  };

  const here = () => location.pathname + location.search;

  /* Three moves within half a minute are a loop: stay, and let the person see why. */
  const mayMove = () => {
    try {
      const now = Date.now();
      const moves = JSON.parse(sessionStorage.getItem("vestibule-moves") || "[]").filter((at) => now - at < WINDOW_MS);
      if (moves.length >= MAX_MOVES) return false;
      sessionStorage.setItem("vestibule-moves", JSON.stringify([...moves, now]));
      return true;
    } catch {
      return true;
    }
  };

  const notice = (text) => {
    const bar = document.createElement("div");
    bar.setAttribute("role", "alert");
    bar.style.cssText =
      "position:fixed;inset:0 0 auto 0;z-index:2147483647;padding:12px 18px;background:#8a2f22;color:#fff;font:15px/1.4 system-ui,sans-serif";
    bar.textContent = text;
    document.body.append(bar);
    return bar;
  };

  /* The server of this page was lost. Another one has none of its state, so only a new page shows what is true. */
  const reloadMoved = () => {
    if (!mayMove()) return;
    try {
      sessionStorage.setItem("vestibule-moved", "1");
    } catch {}
    location.reload();
  };

  const tellMoved = () => {
    try {
      if (!sessionStorage.getItem("vestibule-moved")) return;
      sessionStorage.removeItem("vestibule-moved");
    } catch {
      return;
    }
    const bar = notice("The server of this page was lost, so the page was started again. Please check what you entered.");
    setTimeout(() => bar.remove(), TOLD_MS);
  };

  const move = (address) => {
    if (mayMove()) location.assign(address);
    else notice("Your session has ended and signing in did not bring it back. Please close this tab and sign in again.");
  };

  const ended = async (reason) => {
    if (busy) return;
    busy = true;
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    let now = null;
    try {
      now = await ask();
    } catch {
      now = null;
    }
    busy = false;
    if (leaving) return;
    if (now === null || (now && now === person)) return;
    const target = "return_to=" + encodeURIComponent(here());
    if (now) {
      if (person === null) person = now;
      else if (mayMove()) location.reload();
    } else if (reason === "logout" || reason === "revoked") {
      move(auth + "/logged-out?" + target);
    } else {
      move(auth + "/login?" + target);
    }
  };

  const isPoll = (address) => {
    try {
      const url = new URL(address, location.href);
      return url.origin === location.origin && url.pathname.includes("/_stcore/");
    } catch {
      return false;
    }
  };

  const NativeSocket = window.WebSocket;
  window.WebSocket = class extends NativeSocket {
    constructor(...parameters) {
      super(...parameters);
      this.addEventListener("close", (event) => {
        if (event.code === ENDED) ended(event.reason || "expired");
        if (event.code === RECONNECT && event.reason === "moved") reloadMoved();
      });
    }
  };

  window.fetch = async (...parameters) => {
    const answer = await nativeFetch(...parameters);
    const address = parameters[0] instanceof Request ? parameters[0].url : String(parameters[0]);
    if (answer.status === 401 && isPoll(address)) ended("expired");
    return answer;
  };

  const nativeOpen = XMLHttpRequest.prototype.open;
  XMLHttpRequest.prototype.open = function (method, address, ...rest) {
    if (isPoll(address)) {
      this.addEventListener("load", () => {
        if (this.status === 401) ended("expired");
      });
    }
    return nativeOpen.call(this, method, address, ...rest);
  };

  /* The tab that signs out is on its way to the provider already: do not cut that off. */
  window.addEventListener("beforeunload", () => {
    leaving = true;
    setTimeout(() => {
      leaving = false;
    }, 5000);
  });

  /* A page that comes back from the browser's back-forward cache is old: look who is signed in now. */
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) ended("logout");
  });

  addEventListener("DOMContentLoaded", tellMoved);

  ask().then((now) => {
    if (now) person = now;
  }, () => {});
})();
