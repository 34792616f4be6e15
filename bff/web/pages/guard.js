/*
 * Ends what a tab shows when its session ends. Inserted first in the head of the documents of page routes.
 *
 * The page's own code must not notice it: results, errors, prototypes and names of what is watched stay as they are,
 * and no body is read. What it sees is a reason to ask /auth/session, never an answer by itself.
 */
(() => {
  "use strict";
  const script = document.currentScript;
  const auth = new URL(script.src).pathname.replace(/\/guard\.js$/, "");
  const REFUSED = "X-Vestibule-Refused"; /* only the front door sets it, and only beside a 401 of its own */
  const SETTLE_MS = 500;
  const BETWEEN_QUESTIONS_MS = 5000;
  const MOST_BETWEEN_QUESTIONS_MS = 60000;
  const MAX_MOVES = 3;
  const WINDOW_MS = 30000;
  const ENDED = 4401;
  const RESTARTED = 1012;
  const CUT_OFF = [1006, RESTARTED];
  const TOLD_MS = 20000;
  const STAYED_MS = 5000;
  const LONGEST_WAIT_MS = 2147483647; /* of a timer */
  const CLOSED = 2;
  const call = Reflect.apply;
  const nativeFetch = window.fetch;
  const nativeThen = Promise.prototype.then;
  const nativeListen = EventTarget.prototype.addEventListener;
  const nativeTimeout = window.setTimeout.bind(window);
  const nativeClear = window.clearTimeout.bind(window);
  const nativeNow = performance.now.bind(performance);
  const listen = (target, kind, listener) => call(nativeListen, target, [kind, listener]);
  let person = null; /* not known yet; "" is nobody */
  let due = null; /* the reason of the question that is to be asked */
  let askedAt = -Infinity;
  let between = BETWEEN_QUESTIONS_MS;
  let leaving = false;
  let isStuck = false;
  let isDeparting = false;
  let stayed = null; /* the bar of a page whose session has ended, and whose person stayed to keep what they wrote */
  let end = 0; /* the timer for the end that is known */
  let channel = null;

  /* Other tabs ask as well when they hear this. Everything of this origin may say it, so it is no more than a hint. */
  const channelName = "vestibule:" + auth;
  const tell = () => {
    try {
      const sender = new BroadcastChannel(channelName);
      sender.postMessage("ended");
      sender.close();
    } catch {
      /* a frame without an origin has no other tabs */
    }
  };

  if (script.hasAttribute("data-signed-out")) {
    tell();
    return;
  }

  const ask = async () => {
    const answer = await call(nativeFetch, window, [
      auth + "/session",
      { cache: "no-store", credentials: "same-origin" },
    ]);
    if (answer.status === 401) return "";
    if (!answer.ok) return null;
    const session = await answer.json();
    awaitEnd(session, Date.parse(answer.headers.get("Date")) / 1000);
    return session.iss + " " + session.sub;
  };

  /* Many pages ask for nothing while nobody uses them. Use moves the end, so the question then finds a later one. */
  const awaitEnd = (session, now) => {
    const seconds = Math.min(session.expires_at, session.idle_expires_at) - now + 1;
    if (!Number.isFinite(seconds)) return;
    nativeClear(end);
    end = nativeTimeout(() => suspect("refused"), Math.min(Math.max(seconds, 1) * 1000, LONGEST_WAIT_MS));
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
    (document.body || document.documentElement).append(bar);
    return bar;
  };

  /* The server of this page was lost. Another one has none of its state, so only a new page shows what is true. */
  const reloadMoved = () => {
    if (!mayMove()) return;
    try {
      sessionStorage.setItem("vestibule-moved", "1");
    } catch {
      /* without storage the page starts again without a word */
    }
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
    nativeTimeout(() => bar.remove(), TOLD_MS);
  };

  /* "Leave site?", a browser asks for a page with unsaved work, and the person may stay. Then say once what is so. */
  const tellStayed = (text, address) => {
    isDeparting = false;
    stayed = notice(text + " ");
    const link = document.createElement("a");
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener";
    link.style.color = "inherit";
    link.textContent = "Sign in in a new tab, then go on here.";
    stayed.append(link);
  };

  const move = (address) => {
    if (mayMove()) {
      isDeparting = true;
      location.assign(address);
      const signIn = auth + "/login?return_to=" + encodeURIComponent(here());
      nativeTimeout(() => tellStayed("Your session has ended, and nothing is saved.", signIn), STAYED_MS);
      return;
    }
    isStuck = true;
    notice("Your session has ended and signing in did not bring it back. Please close this tab and sign in again.");
  };

  /* Reasons, the weakest first. Those before "expired" are hints: a page that nobody was signed in at stays. */
  const REASONS = ["refused", "told", "expired", "logout", "revoked"];
  const isHint = (reason) => REASONS.indexOf(reason) < REASONS.indexOf("expired");

  /* One question at a time, and one in five seconds: what is noticed in between waits for the next. A question that gets
   * no answer is asked again, after twice the time: where the store or a proxy fails, old data would stay. */
  const suspect = (reason) => {
    if (isStuck) return;
    const isWaiting = due !== null;
    if (!isWaiting || REASONS.indexOf(reason) > REASONS.indexOf(due)) due = reason;
    if (isWaiting) return;
    nativeTimeout(decide, Math.max(SETTLE_MS, askedAt + between - nativeNow()));
  };

  const decide = async () => {
    askedAt = nativeNow();
    let now = null;
    try {
      now = await ask();
    } catch {
      now = null;
    }
    const reason = due;
    due = null;
    if (leaving) {
      suspect(reason); /* a download is no departure: ask again, if the page is still there */
      return;
    }
    if (now === null) {
      suspect(reason);
      between = Math.min(2 * between, MOST_BETWEEN_QUESTIONS_MS);
      return;
    }
    between = BETWEEN_QUESTIONS_MS;
    if (now && now === person) {
      if (stayed !== null) stayed.remove();
      stayed = null;
      return;
    }
    if (now) {
      if (!person) person = now;
      else if (mayMove()) location.reload();
      return;
    }
    if (isDeparting || stayed !== null || (person === "" && isHint(reason))) return;
    if (reason !== "told") tell();
    const target = "return_to=" + encodeURIComponent(here());
    if (["told", "logout", "revoked"].includes(reason)) move(auth + "/logged-out?" + target);
    else move(auth + "/login?" + target);
  };

  const isOurs = (address) => {
    try {
      const url = new URL(address, location.href);
      return url.host === location.host;
    } catch {
      return false;
    }
  };

  /* Put `make(native)` in the place of `owner[name]`, with the same attributes. */
  const replace = (owner, name, make) => {
    const kept = Object.getOwnPropertyDescriptor(owner, name);
    if (kept && kept.configurable && typeof kept.value === "function")
      Object.defineProperty(owner, name, { ...kept, value: make(kept.value) });
  };

  /* Every object that `window[name]` makes passes `watch`; its class stays the native one in every other way. */
  const watchNew = (name, watch) =>
    replace(window, name, (native) => {
      const watched = new Proxy(native, {
        construct(target, parameters, newTarget) {
          const made = Reflect.construct(target, parameters, newTarget === watched ? target : newTarget);
          try {
            watch(made);
          } catch {
            /* the page gets its object in any case */
          }
          return made;
        },
      });
      replace(native.prototype, "constructor", () => watched);
      return watched;
    });

  watchNew("WebSocket", (socket) => {
    if (!isOurs(socket.url)) return;
    let wasOpen = false;
    listen(socket, "open", () => {
      wasOpen = true;
    });
    listen(socket, "close", (event) => {
      if (event.code === ENDED) suspect(REASONS.includes(event.reason) && !isHint(event.reason) ? event.reason : "expired");
      else if (event.code === RESTARTED && event.reason === "moved") reloadMoved();
      else if (!wasOpen || CUT_OFF.includes(event.code)) suspect("refused");
    });
  });

  /* A script cannot see the status of an event source. It is closed for good by an answer that is no stream. */
  watchNew("EventSource", (source) => {
    if (!isOurs(source.url)) return;
    listen(source, "error", () => {
      if (source.readyState === CLOSED) suspect("refused");
    });
  });

  const look = (answer) => {
    try {
      if (answer.status === 401 && isOurs(answer.url) && answer.headers.has(REFUSED)) suspect("refused");
    } catch {
      /* the page gets its answer in any case */
    }
    return answer;
  };

  replace(
    window,
    "fetch",
    (native) =>
      new Proxy(native, {
        apply(target, self, parameters) {
          return call(nativeThen, call(target, self, parameters), [look]);
        },
      }),
  );

  const lookAtRequest = (event) => {
    const request = event.currentTarget;
    try {
      if (request.status === 401 && isOurs(request.responseURL) && request.getResponseHeader(REFUSED) !== null)
        suspect("refused");
    } catch {
      /* the page gets its answer in any case */
    }
  };

  replace(
    XMLHttpRequest.prototype,
    "send",
    (native) =>
      new Proxy(native, {
        apply(target, self, parameters) {
          try {
            listen(self, "load", lookAtRequest); /* the same listener is added once only */
          } catch {
            /* no request: the native method says so */
          }
          return call(target, self, parameters);
        },
      }),
  );

  /*
   * Code, styles and pictures that a page loads, import() too, are no fetch, and say only that they failed. Browsers
   * tell the status beside, but not of a style sheet that they refuse, and old browsers of nothing.
   */
  const watchLoads = () => {
    const tellsStatus = "responseStatus" in PerformanceResourceTiming.prototype;
    const failed = ({ target }) => {
      if (!(target instanceof Element) || (tellsStatus && !(target instanceof HTMLLinkElement))) return;
      if (isOurs(target.src || target.href || "about:")) suspect("refused");
    };
    call(nativeListen, window, ["error", failed, true]);
    if (!tellsStatus) return;
    new PerformanceObserver((list) => {
      const isRefusal = (entry) =>
        entry.responseStatus === 401 && !["fetch", "xmlhttprequest"].includes(entry.initiatorType) && isOurs(entry.name);
      if (list.getEntries().some(isRefusal)) suspect("refused");
    }).observe({ type: "resource" });
  };

  const hear = () => {
    try {
      channel = new BroadcastChannel(channelName);
      channel.onmessage = () => suspect("told");
    } catch {
      channel = null;
    }
  };

  /* The tab that signs out is on its way to the provider already: do not cut that off. */
  listen(window, "beforeunload", () => {
    leaving = true;
    nativeTimeout(() => {
      leaving = false;
    }, 5000);
  });

  /* An open channel could keep the page out of the browser's back-forward cache. */
  listen(window, "pagehide", () => {
    if (channel !== null) channel.close();
  });

  /* A page that comes back from that cache is old: look who is signed in now. */
  listen(window, "pageshow", (event) => {
    if (!event.persisted) return;
    hear();
    suspect("told");
  });

  /* The person may have signed in elsewhere meanwhile. */
  listen(document, "visibilitychange", () => {
    if (stayed !== null && document.visibilityState === "visible") suspect("told");
  });

  listen(document, "DOMContentLoaded", tellMoved);

  try {
    watchLoads();
  } catch {
    /* an old browser: what is watched besides has to do */
  }
  hear();
  ask().then(
    (now) => {
      if (now !== null && person === null) person = now;
    },
    () => {},
  );
})();
