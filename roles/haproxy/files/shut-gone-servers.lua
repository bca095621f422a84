-- A machine that is gone answers nothing, and TCP would go on sending to it for a quarter of an hour. Once checks can't even
-- connect, what waits for its answer is ended. HAProxy before 3.0 then sends a GET to another server, and tells the client of the rest.
-- A server that is only slow accepts connections, and keeps its requests however long they take.

local function shut_if_gone(server)
    local stats = server:get_stats()
    if stats.check_status == "L4TOUT" and stats.status:find("^DOWN") and stats.scur > 0 then
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
