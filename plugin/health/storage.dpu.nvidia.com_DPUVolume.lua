-- Made by `cargo run --example plugin-files`: health of storage.dpu.nvidia.com DPUVolume; why it is so: shapes/conditions.lua.
local gate = { "Ready" }
local failed = nil
local quiet = false
local status = obj.status or {}
local conditions = status.conditions
if failed ~= nil and status.phase == failed then
  return { status = "Degraded", message = failed }
end
if conditions == nil or #conditions == 0 then
  if quiet then
    return { status = "Healthy", message = "no status is kept" }
  end
  return { status = "Progressing", message = "no status yet" }
end
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the controller has not seen this change yet" }
end
local function says(condition)
  if condition.message ~= nil and condition.message ~= "" then
    return condition.type .. ": " .. condition.message
  end
  return condition.type .. ": " .. (condition.reason or condition.status)
end
local by = {}
local failure = nil
for _, condition in ipairs(conditions) do
  by[condition.type] = condition
  if condition.status == "False" and condition.reason == "Failure" and (failure == nil or failure.type == "Ready") then
    failure = condition
  end
end
if failure ~= nil then
  return { status = "Degraded", message = says(failure) }
end
for _, name in ipairs(gate) do
  if by[name] == nil then
    return { status = "Progressing", message = name .. ": not reported yet" }
  end
  if by[name].status ~= "True" then
    return { status = "Progressing", message = says(by[name]) }
  end
end
if by.Ready ~= nil and by.Ready.status ~= "True" then
  return { status = "Healthy", message = "applied; " .. says(by.Ready) }
end
return { status = "Healthy", message = "" }
