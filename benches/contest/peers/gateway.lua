-- The work in Lua: who calls, is the body what it may be, credentials in. What a careful team would write with cjson
-- and the regular expressions of nginx; repeated names, depth and the answers are not looked at.
local cjson = require "cjson.safe"

local gateway = {}
local callers = { ["Bearer @BEARER@"] = "kyc-api" }
local salt = "fingerprint-key-of-the-benchmark-0123456789abcdef"

local function pattern(regex, most)
    return function(value)
        return type(value) == "string" and #value <= most and ngx.re.find(value, regex, "jo") ~= nil
    end
end

local function one_of(...)
    local set = {}
    for _, value in ipairs({ ... }) do set[value] = true end
    return function(value) return set[value] == true end
end

-- Base64 of a JPEG: its alphabet, its padding, its first bytes.
local function image(value)
    return type(value) == "string" and #value % 4 == 0 and #value <= 14000000
        and value:sub(1, 4) == "/9j/" and value:find("^[A-Za-z0-9+/]+=?=?$") ~= nil
end

local function object(members, required)
    return function(value)
        if type(value) ~= "table" then return false end
        for name, member in pairs(value) do
            local check = members[name]
            if not check or not check(member) then return false end
        end
        for _, name in ipairs(required) do
            if value[name] == nil then return false end
        end
        return true
    end
end

local email = pattern([[^[^@\s]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$]], 254)
local name = pattern([[^[\w][\w .,'-]*$]], 100)
local by_email = object({ email = email }, { "email" })
local services = {
    getStatus = { target = by_email },
    getDocumentImages = { target = by_email },
    updateStatus = { target = object({ email = email, status = one_of("PASS", "PENDING", "FAIL") }, { "email", "status" }) },
    createOrUpdateCustomer = {
        reference = pattern([[^[\w.-]+$]], 64),
        target = object({
            email = email, fn = name, ln = name, addr = pattern([[^[\w][\w .,#/'-]*$]], 200), city = name, state = name,
            zip = pattern([[^[A-Za-z0-9 -]{3,10}$]], 10), dob = pattern([[^(1[89]|2[0-9])[0-9]{6}$]], 8),
            phone = pattern([[^\+?[0-9 ().-]{7,32}$]], 32),
            documents = object({ front = image, back = image }, {}),
        }, { "email" }),
    },
}

local function refuse(status)
    ngx.status = status
    ngx.header["Content-Type"] = "application/problem+json"
    ngx.say('{"status":' .. status .. '}')
    return ngx.exit(status)
end

function gateway.handle()
    local caller = callers[ngx.var.http_authorization or ""]
    if not caller then return refuse(401) end
    if ngx.req.get_method() ~= "POST" then return refuse(405) end
    if ngx.var.content_type ~= "application/json" then return refuse(415) end
    ngx.req.read_body()
    local body = cjson.decode(ngx.req.get_body_data() or "")
    if type(body) ~= "table" then return refuse(400) end
    local service = services[body.service]
    if not service then return refuse(422) end
    for member, value in pairs(body) do
        if member ~= "service" and not (service[member] and service[member](value)) then return refuse(422) end
    end
    if body.target == nil then return refuse(422) end
    ngx.var.caller, ngx.var.service = caller, body.service
    ngx.var.fingerprint = ngx.encode_base64(ngx.hmac_sha1(salt, body.target.email:lower()))
    body.user, body.pass = "@USER@", "@PASS@"
    ngx.req.set_body_data(cjson.encode(body))
end

return gateway
