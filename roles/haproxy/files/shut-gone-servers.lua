-- A machine that is gone answers nothing. The kernel's probes (srvtcpka) find that where all that was sent had arrived; where it had
-- not, TCP would go on sending for a quarter of an hour. So once checks can't even connect, what still waits for its answer is ended.
-- A server that is only slow accepts connections, and keeps its requests however long they take.

-- The probes come first, for HAProxy then asks another server or tells the client; from 3.0 on it does neither for a session that is shut
local SECONDS_FOR_PROBES = 3

local function shut_if_gone(server)
    local stats = server:get_stats()
    if stats.check_status == "L4TOUT" and stats.status:find("^DOWN") and stats.lastchg >= SECONDS_FOR_PROBES
        and stats.scur > 0 then
        server:shut_sess()
    end
end

core.register_task(function()
    while true do
        core.sleep(1)
        for _, backend in pairs(core.backends) do
            for _, server in pairs(backend.servers) do
                pcall(shut_if_gone, server)
            end
        end
    end
end)
