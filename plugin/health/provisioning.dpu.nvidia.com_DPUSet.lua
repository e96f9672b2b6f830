-- Made by `cargo run --example plugin-files`: health of provisioning.dpu.nvidia.com DPUSet; why it is so: shapes/counts.lua.
local status = obj.status or {}
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the controller has not seen this change yet" }
end
local failure = nil
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "False" and condition.reason == "Failure" and (failure == nil or failure.type == "Ready") then
    failure = condition
  end
end
if failure ~= nil then
  return { status = "Degraded", message = failure.type .. ": " .. (failure.message or failure.reason) }
end
local total, ready, failed = 0, 0, 0
for phase, count in pairs(status.dpuStatistics or {}) do
  total = total + count
  if phase == "Ready" then
    ready = ready + count
  elseif phase == "Error" then
    failed = failed + count
  end
end
if failed > 0 then
  return { status = "Degraded", message = failed .. " of " .. total .. " DPUs in Error" }
end
if ready < total then
  return { status = "Progressing", message = ready .. " of " .. total .. " DPUs ready" }
end
if total == 0 then
  return { status = "Healthy", message = "no DPUs yet" }
end
return { status = "Healthy", message = total .. " DPUs ready" }
