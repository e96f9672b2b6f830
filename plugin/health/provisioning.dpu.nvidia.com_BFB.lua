-- Made by `cargo run --example plugin-files`: health of provisioning.dpu.nvidia.com BFB; why it is so: shapes/word.lua.
local path = { "phase" }
local good = { ["Ready"] = true }
local bad = { ["Error"] = true }
local retried = "Downloaded"
local word = obj.status
for _, key in ipairs(path) do
  word = type(word) == "table" and word[key] or nil
end
if word == nil then
  return { status = "Progressing", message = "no status yet" }
end
local status = obj.status
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the controller has not seen this change yet" }
end
if good[word] then
  return { status = "Healthy", message = word }
end
if not bad[word] then
  return { status = "Progressing", message = word }
end
local health = { status = "Degraded", message = word }
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "False" then
    if condition.message ~= nil and condition.message ~= "" then
      health.message = word .. ": " .. condition.message
    end
    if condition.type == retried and condition.reason == "Error" then
      health.status = "Progressing"
    end
  end
end
return health
