-- A request that comes while its backend has no server that is up waits for one, at most for so long:
--
--     http-request lua.wait_for_server 10s if { nbsrv eq 0 }

local MILLISECONDS = { us = 0.001, ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000 }
local STEP = 100

core.register_action("wait_for_server", { "http-req" }, function(txn, longest)
    local number, unit = longest:match("^(%d+)(%a+)$")
    local left = number * MILLISECONDS[unit]
    while left > 0 and txn.f:nbsrv() == 0 do
        core.msleep(math.min(STEP, math.ceil(left)))
        left = left - STEP
    end
end, 1)
