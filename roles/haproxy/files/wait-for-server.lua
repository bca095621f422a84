-- For HAProxy before 3.2.20; later ones have `http-request pause` and `init-state` for it.
--
-- A request that comes while its backend has no server that is up waits for one, at most for so long:
--
--     http-request lua.wait_for_server 10s if { nbsrv eq 0 }
--
-- HAProxy goes on with a request whose action fails. It doesn't start where a function of core.register_init fails.

local MILLISECONDS = { us = 0.001, ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000 }
local STEP = 100
local STATE = "/run/haproxy/server-state"

core.register_action("wait_for_server", { "http-req" }, function(txn, longest)
    local number, unit = longest:match("^(%d+)(%a+)$")
    local left = number * MILLISECONDS[unit]
    while left > 0 and txn.f:nbsrv() == 0 do
        core.msleep(math.min(STEP, math.ceil(left)))
        left = left - STEP
    end
end, 1)

local function has_states()
    local file = io.open(STATE)
    if not file then
        return false
    end
    local text = file:read("a")
    file:close()
    return text:find("\n%d") ~= nil
end

-- After a boot no former process has left word of the servers, and HAProxy would take each for up until a check has failed
local function take_unasked_servers_for_down()
    if has_states() then
        return
    end
    for _, backend in pairs(core.backends) do
        for _, server in pairs(backend.servers) do
            -- One without checks has no status, and would stay down
            if backend:get_mode() == "http" and server:get_stats().check_status then
                server:check_force_down()
            end
        end
    end
end

core.register_init(function()
    local done, reason = pcall(take_unasked_servers_for_down)
    if not done then
        core.Warning("servers are up until a check has failed: " .. tostring(reason))
    end
end)
