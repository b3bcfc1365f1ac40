-- Tells Tidings what changes in Dovecot's mailboxes: a script for Dovecot's push notification driver "lua".
-- Dovecot 2.3 (settings in plugin { }) and 2.4 (settings in lua_settings { }). See README.md beside this file.
--
-- The events of a transaction are one POST to a Tidings publisher. Whoever delivers or reads mail waits for that, so
-- it is tried once, for a second at most. What the publisher does not take goes to the journal, a directory that a
-- publisher watches (--journal-dir). After three failures in a row everything goes there at once, and one transaction
-- in ten seconds tries the publisher again.
--
-- The journal's format is described in services/tidings/publisher/sources/journal/format.py.

local ATTEMPT_MSECS = 1000
local CONNECT_MSECS = 500
local FAILURES = 3
local PROBE_SECONDS = 10
local WEEK_HOURS = 7 * 24
local CLAIMS = 100                      -- as often as lines are written again since their file was claimed
local DEFAULTS = {
  url = "http://127.0.0.1:8081/v1/changes",
  token = "",
  source = "/dovecot",
  journal = "/var/lib/tidings/journal",
  journal_bytes = "268435456",
}
-- What the publisher will never take, whoever hands it over.
local REFUSED = { [400] = true, [413] = true, [415] = true, [422] = true }

local client
local given                             -- lua_settings { } of Dovecot 2.4
local process                           -- no other process has this name
local serial = 0
local breaker = { failures = 0, pause = 0 }
local earlier = { hour = "", bytes = 0 }
local failed_at = -1                    -- in a delivery with several transactions only the first one waits

function script_init(settings)
  given = settings
  -- 2.4 has durations as texts with a unit, and other names.
  if given ~= nil then
    client = dovecot.http.client({
      user_agent = "tidings-dovecot", request_max_attempts = "1", max_connect_attempts = "1", auto_retry = "no",
      auto_redirect = "no", max_idle_time = "10s", connect_timeout = CONNECT_MSECS .. "ms",
      request_timeout = ATTEMPT_MSECS .. "ms", request_absolute_timeout = ATTEMPT_MSECS .. "ms",
    })
  else
    client = dovecot.http.client({
      user_agent = "tidings-dovecot", max_attempts = 1, max_connect_attempts = 1, no_auto_retry = true,
      no_auto_redirect = true, max_idle_time_msecs = 10000, connect_timeout_msecs = CONNECT_MSECS,
      request_timeout_msecs = ATTEMPT_MSECS, request_absolute_timeout_msecs = ATTEMPT_MSECS,
    })
  end
  local random = io.open("/dev/urandom", "rb")
  if random then
    process = random:read(8):gsub(".", function(byte) return string.format("%02x", byte:byte()) end)
    random:close()
  else
    process = string.format("%x-%s", os.time(), tostring({}):gsub("^table: ", ""))
  end
  return 0
end

local function setting(user, name)
  local value
  if given ~= nil then value = given[name] else value = user:plugin_getenv("tidings_" .. name) end
  if value == nil or value == "" then return DEFAULTS[name] end
  return value
end

-- What happened in a transaction. Each event once: a thousand messages expunged at once are one change.

function dovecot_lua_notify_begin_txn(user)
  return { user = user, events = {}, seen = {} }
end

local function note(transaction, name)
  if transaction.seen[name] then return end
  transaction.seen[name] = true
  transaction.events[#transaction.events + 1] = name
end

-- Named as in RFC 5423.
for suffix, name in pairs({
  message_new = "MessageNew", message_append = "MessageAppend", message_expunge = "MessageExpunge",
  message_read = "MessageRead", message_trash = "MessageTrash",
  mailbox_create = "MailboxCreate", mailbox_delete = "MailboxDelete", mailbox_rename = "MailboxRename",
  mailbox_subscribe = "MailboxSubscribe", mailbox_unsubscribe = "MailboxUnSubscribe",
}) do
  _G["dovecot_lua_notify_event_" .. suffix] = function(transaction) note(transaction, name) end
end

-- Dovecot tells of flags set and of flags cleared whenever one of both happened.
local function note_flags(transaction, event, name)
  if (event.flags and #event.flags > 0) or (event.keywords and #event.keywords > 0) then note(transaction, name) end
end

function dovecot_lua_notify_event_flags_set(transaction, event) note_flags(transaction, event, "FlagsSet") end
function dovecot_lua_notify_event_flags_clear(transaction, event) note_flags(transaction, event, "FlagsClear") end

-- CloudEvents.

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\127]', function(found) return string.format("\\u%04x", found:byte()) end) .. '"'
end

local function encoded(transaction, identifier, time)
  local user = transaction.user
  local found = {}
  for number, name in ipairs(transaction.events) do
    found[number] = string.format(
      '{"specversion":"1.0","id":"%s-%d","source":%s,"type":"mail.%s","subject":%s%s}',
      identifier, number, quoted(setting(user, "source")), name, quoted(user.username), time)
  end
  return found
end

-- The publisher.

local function post(user, body)
  local done, status, reason = pcall(function()
    local request = client:request({ url = setting(user, "url"), method = "POST" })
    request:add_header("Content-Type", "application/cloudevents-batch+json")
    local token = setting(user, "token")
    if token ~= "" then request:add_header("Authorization", "Bearer " .. token) end
    request:set_payload(body)
    local response = request:submit()
    return response:status(), response:reason()
  end)
  if done then return status, reason end
  return 0, status
end

-- The journal. A directory may have files of several user ids, each for itself.

local function own(user, name)
  local uid = tonumber(user.uid)
  if uid == nil then return name end
  return string.format("%s-%d", name, math.floor(uid))
end

local function size_of(path)
  local file = io.open(path, "rb")
  if file == nil then return 0 end
  local size = file:seek("end")
  file:close()
  return size or 0
end

-- What this user id has in the journal. The files of earlier hours do not grow, so they are asked for once.
local function kept(user, directory, now)
  local hour = os.date("!%Y%m%d%H", now)
  if earlier.hour ~= hour then
    earlier.hour, earlier.bytes = hour, 0
    for ago = 1, WEEK_HOURS do
      local name = own(user, os.date("!%Y%m%d%H", now - ago * 3600)) .. ".jsonl"
      earlier.bytes = earlier.bytes + size_of(directory .. "/" .. name)
    end
  end
  return earlier.bytes + size_of(directory .. "/" .. own(user, hour) .. ".jsonl")
end

local function sync(path)
  local done = os.execute("exec sync -d -- '" .. path:gsub("'", "'\\''") .. "' 2>/dev/null")
  return done == true or done == 0
end

-- Whether a file has some text at a place.
local function has(path, text, place)
  local file = io.open(path, "rb")
  if file == nil then return false end
  local found = file:seek("set", place) and file:read(#text)
  file:close()
  return found == text
end

-- Append. Whether the name still leads to the lines then, or else whatever is wrong.
local function append(path, data)
  local file, why = io.open(path, "ab")
  if file == nil then return nil, why end
  -- Unbuffered, it is one write(2): lines of several processes do not mix.
  file:setvbuf("no")
  local done
  done, why = file:write(data)
  local ended = done and file:seek("cur")
  local there = ended and has(path, data, ended - #data)
  -- Claimed meanwhile, the lines are with a publisher that tells them now.
  if there and not sync(path) and has(path, data, ended - #data) then
    dovecot.i_warning("tidings: sync(1) fails, so a power failure may take the last changes from the journal")
  end
  -- Only now: that it is closed is what has the publisher claim it.
  file:close()
  if not ended then return nil, why end
  return there
end

-- Whether it is kept, and why not.
local function keep(user, lines)
  local directory = setting(user, "journal")
  local data = "\n" .. table.concat(lines, "\n") .. "\n"
  local now = os.time()
  local most = tonumber(setting(user, "journal_bytes")) or tonumber(DEFAULTS.journal_bytes)
  if kept(user, directory, now) + #data > most then return false, "it is full" end
  local path = directory .. "/" .. own(user, os.date("!%Y%m%d%H", now)) .. ".jsonl"
  for _ = 1, CLAIMS do
    local there, why = append(path, data)
    if there then return true end
    if there == nil then return false, why end
  end
  return false, "the publisher claims files faster than they can be written"
end

local function say_lost(user)
  local path = setting(user, "journal") .. "/lost"
  -- There already, of another user id perhaps, it says the same.
  local file = io.open(path, "ab") or io.open(path, "rb")
  if file == nil then return false end
  file:close()
  sync(path)
  return true
end

-- The breaker: failures in a row, and until when the publisher is left alone. All processes of a user id share it, since
-- many of them live for one transaction only; it is in the journal's directory.

local function breaker_path(user) return setting(user, "journal") .. "/" .. own(user, "breaker") end

local function read_breaker(user)
  local file = io.open(breaker_path(user), "rb")
  if file == nil then return breaker end
  local failures, pause = file:read("*n", "*n")
  file:close()
  return { failures = failures or 0, pause = pause or 0 }
end

local function write_breaker(user, failures, pause)
  breaker = { failures = failures, pause = pause }
  if failures == 0 then
    os.remove(breaker_path(user))
    return
  end
  local file = io.open(breaker_path(user), "wb")
  if file then
    file:write(string.format("%d %d\n", failures, pause))
    file:close()
    -- The file says it, and may be gone when another process has found the publisher well.
    breaker = { failures = 0, pause = 0 }
  end
end

local function failed(user, state, status, reason)
  failed_at = os.time()
  local failures = state.failures + 1
  local opens = failures >= FAILURES
  write_breaker(user, failures, opens and os.time() + PROBE_SECONDS or 0)
  if failures <= FAILURES then
    dovecot.i_warning(string.format("tidings: the publisher does not take changes, so changes go to the journal%s: %s %s",
      opens and " at once from now on" or "", tostring(status), tostring(reason)))
  end
end

-- Whether the publisher has answered for the events, well or not.
local function told(user, body)
  local state = read_breaker(user)
  local now = os.time()
  -- Further ahead than a pause may be, the clock was set back.
  if now < state.pause and state.pause - now <= PROBE_SECONDS then return false end
  if now - failed_at <= 1 then return false end
  -- Before the attempt: meanwhile the others do not try, too.
  if state.failures >= FAILURES then write_breaker(user, state.failures, now + PROBE_SECONDS) end
  local status, reason = post(user, body)
  local refused = REFUSED[status]
  if status ~= 202 and not refused then
    failed(user, state, status, reason)
    return false
  end
  if state.failures > 0 then
    write_breaker(user, 0, 0)
    dovecot.i_info("tidings: the publisher takes changes again")
  end
  if refused then
    dovecot.i_error(string.format(
      "tidings: the publisher refuses the changes of %s: %d %s", user.username, status, tostring(reason)))
  end
  return true
end

-- Have the publisher or the journal take the events; why they are not taken.
local function hand_over(transaction)
  local user = transaction.user
  serial = serial + 1
  local identifier = string.format("%s-%d", process, serial)
  -- Without a time: Lua's clock has whole seconds, and the publisher takes it at once.
  if told(user, "[" .. table.concat(encoded(transaction, identifier, ""), ",") .. "]") then return nil end
  local time = os.date('!,"time":"%Y-%m-%dT%H:%M:%SZ"')
  local kept_now, why = keep(user, encoded(transaction, identifier, time))
  return not kept_now and "not kept in the journal: " .. tostring(why) or nil
end

function dovecot_lua_notify_end_txn(transaction, success)
  if not success or #transaction.events == 0 then return end
  local user = transaction.user
  local done, why = pcall(hand_over, transaction)
  if done and why == nil then return end
  local all = say_lost(user) and "all clients will be asked to resynchronise" or "no client will be asked to resynchronise"
  dovecot.i_error(string.format("tidings: changes of %s are lost, %s: %s", user.username, all, tostring(why)))
end
