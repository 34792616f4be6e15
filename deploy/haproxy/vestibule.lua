-- Lets HAProxy ask Vestibule about each request (forward-auth). HAProxy 2.6 or newer; no other Lua module is needed.
--
--   lua-load /etc/haproxy/vestibule.lua                              in `global`
--   http-request lua.vestibule_ask http://127.0.0.1:8001 30          the forward-auth listener, and seconds to wait
--   http-request lua.vestibule_cookies                               removes Vestibule's own cookies
--
-- `vestibule_ask` writes the answer into variables: `txn.vestibule_status`, and one for each header, such as
-- `txn.vestibule_x_auth_request_user` and `txn.vestibule_authorization`. The status is 200 only if Vestibule said yes.
-- Without an answer in time it is 503.

local COOKIES = "__Host-vestibule"

-- Headers of the client that are about its connection or its body, and those that are written below.
local NOT_COPIED = {
    ["connection"] = true,
    ["content-length"] = true,
    ["expect"] = true,
    ["host"] = true,
    ["keep-alive"] = true,
    ["proxy-connection"] = true,
    ["te"] = true,
    ["trailer"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
    ["x-original-method"] = true,
    ["x-original-url"] = true,
}

local function headers_of_the_question(txn)
    local headers = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not NOT_COPIED[name] then
            headers[name] = {}
            for _, value in pairs(values) do
                table.insert(headers[name], value)
            end
        end
    end
    local scheme = txn.f:ssl_fc() == 1 and "https" or "http"
    headers["x-original-method"] = { txn.f:method() }
    headers["x-original-url"] = { scheme .. "://" .. (txn.f:req_hdr("host") or "") .. (txn.f:pathq() or "") }
    if string.lower(txn.f:req_hdr("upgrade") or "") == "websocket" and not headers["sec-websocket-key"] then
        headers["sec-websocket-key"] = { "none" } -- HTTP/2 has no such header, and Vestibule knows a handshake by it
    end
    return headers
end

local function ask(txn, listener, seconds)
    txn:set_var("txn.vestibule_status", 503)
    local answer = core.httpclient():head({
        url = listener .. "/auth/verify/haproxy",
        headers = headers_of_the_question(txn),
        timeout = 1000 * tonumber(seconds),
    })
    if not answer or not answer.headers or (answer.status or 0) < 200 then
        core.Warning("vestibule: no answer from " .. listener .. " in " .. seconds .. " seconds")
        return
    end
    for name, values in pairs(answer.headers) do
        txn:set_var("txn.vestibule_" .. string.gsub(name, "[^a-z0-9]", "_"), values[0])
    end
    txn:set_var("txn.vestibule_status", answer.status)
end

local function remove_cookies(txn)
    local lines = txn.http:req_get_headers()["cookie"] or {}
    txn.http:req_del_header("cookie")
    for _, line in pairs(lines) do
        local kept = {}
        for cookie in string.gmatch(line, "[^;]+") do
            cookie = string.gsub(cookie, "^%s+", "")
            if string.sub(cookie, 1, #COOKIES) ~= COOKIES then
                table.insert(kept, cookie)
            end
        end
        if #kept > 0 then
            txn.http:req_add_header("cookie", table.concat(kept, "; "))
        end
    end
end

core.register_action("vestibule_ask", { "http-req" }, ask, 2)
core.register_action("vestibule_cookies", { "http-req" }, remove_cookies, 0)
