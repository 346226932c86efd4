#include "targets/protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "oracle/case_io.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;

Json parse(std::string_view line) {
  Json message = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!message.is_object()) throw ProtocolError("expected a JSON object");
  return message;
}

const Json& member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw ProtocolError(fmt::format("expected \"{}\"", key));
  return *found;
}

/// The value as T; a wrong JSON type is a ProtocolError that names the key.
template <class T>
T value(const Json& object, const char* key) {
  try {
    return member(object, key).get<T>();
  } catch (const Json::exception&) {
    throw ProtocolError(fmt::format("\"{}\" has the wrong type", key));
  }
}

std::string dump(const Json& message) {
  return message.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

size_t aligned(size_t offset) {
  return (offset + tensor_alignment - 1) / tensor_alignment * tensor_alignment;
}

/// Where a tensor lies. Shapes are checked such that sizes can't overflow.
struct Placed {
  DType dtype;
  Shape shape;
  size_t offset, bytes;
};

Json write_placed(const Tensor& tensor, size_t offset) {
  return {name(tensor.dtype), tensor.shape, offset};
}

Placed parse_placed(const Json& json, size_t limit) {
  Placed placed{};
  uint64_t offset = 0;
  try {
    const auto type = parse_name<DType>(json.at(0).get<std::string>());
    if (json.size() != 3 || !type) throw ProtocolError("expected [dtype, shape, offset]");
    placed.dtype = *type;
    placed.shape = json.at(1).get<Shape>();
    if (!json.at(2).is_number_unsigned()) throw ProtocolError("expected an offset of at least 0");
    offset = json.at(2).get<uint64_t>();
  } catch (const Json::exception&) {
    throw ProtocolError("expected [dtype, shape, offset]");
  }
  uint64_t bytes = static_cast<uint64_t>(info(placed.dtype).bytes);
  const bool empty = std::find(placed.shape.begin(), placed.shape.end(), 0) != placed.shape.end();
  for (const int64_t size : placed.shape) {
    if (size < 0) throw ProtocolError("expected sizes of at least 0");
    if (empty) continue;
    if (static_cast<uint64_t>(size) > limit / bytes)
      throw ProtocolError(fmt::format("a tensor of more than {} bytes", limit));
    bytes *= static_cast<uint64_t>(size);
  }
  placed.bytes = empty ? 0 : bytes;
  placed.offset = offset;
  return placed;
}

Tensor copy_out(const Placed& placed, SharedMemory& memory) {
  Tensor tensor(placed.dtype, placed.shape);
  if (placed.bytes == 0) return tensor;
  const size_t size = memory.size();
  if (placed.offset > size || placed.bytes > size - placed.offset)
    throw ProtocolError("a tensor outside the shared memory");
  std::memcpy(tensor.bytes.data(), memory.reach(placed.offset + placed.bytes) + placed.offset,
              placed.bytes);
  return tensor;
}

/// A tensor of a reply, which may be no larger than what is left of `limit`.
Tensor take(const Json& json, size_t& limit, SharedMemory& memory) {
  const Placed placed = parse_placed(json, limit);
  limit -= placed.bytes;
  return copy_out(placed, memory);
}

Output output_named(const std::string& word) {
  const std::optional<Output> output = parse_name<Output>(word);
  if (!output || *output == Output::out) throw ProtocolError("unknown output " + word);
  return *output;
}

TargetInfo parse_info(const Json& json, const std::string& where) {
  TargetInfo target;
  target.name = value<std::string>(json, "name");
  target.version = value<std::string>(json, "version");
  target.about = value<std::string>(json, "about");
  if (const Json& capabilities = member(json, "capabilities"); !capabilities.is_null())
    target.capabilities = parse_capabilities(capabilities.dump(), where + " " + target.name);
  return target;
}

Json parse_first(std::string_view line) {
  Json message = parse(line);
  if (const auto version = value<int>(message, "attnfuzz_worker"); version != protocol_version)
    throw ProtocolError(fmt::format("protocol {}, expected {}", version, protocol_version));
  return message;
}

}  // namespace

std::string write_hello(const TargetInfo& target) {
  return dump({{"attnfuzz_worker", protocol_version},
               {"target",
                {{"name", target.name},
                 {"version", target.version},
                 {"about", target.about},
                 {"capabilities", Json::parse(write_capabilities(target.capabilities))}}}});
}

std::string write_missing(const std::string& why) {
  return dump({{"attnfuzz_worker", protocol_version}, {"missing", why}});
}

Description parse_hello(std::string_view line, const std::string& where) {
  const Json message = parse_first(line);
  if (message.contains("missing")) return {{}, value<std::string>(message, "missing")};
  const Json& target = member(message, "target");
  Description description{parse_info(target, where), {}};
  if (target.contains("environment"))
    description.environment = value<std::string>(target, "environment");
  return description;
}

std::vector<Description> parse_survey(std::string_view line, const std::string& where) {
  std::vector<Description> found;
  const Json message = parse_first(line);
  for (const Json& entry : member(message, "targets")) {
    Description description;
    description.missing = value<std::string>(entry, "missing");
    try {
      description.info = parse_info(entry, where);
    } catch (const InputError& e) {
      description.info.name = value<std::string>(entry, "name");
      description.missing = e.what();
    }
    found.push_back(std::move(description));
  }
  return found;
}

std::string write_request(uint64_t id, const Case& c, const Inputs& inputs, SharedMemory& memory,
                          int threads) {
  size_t free = 0;
  for (const auto& [key, tensor] : inputs.all()) free = aligned(free + tensor.bytes.size());
  std::byte* start = memory.reach(free);
  Json tensors = Json::array();
  size_t offset = 0;
  for (const auto& [key, tensor] : inputs.all()) {
    if (!tensor.bytes.empty())
      std::memcpy(start + offset, tensor.bytes.data(), tensor.bytes.size());
    tensors.push_back({key, name(tensor.dtype), tensor.shape, offset});
    offset = aligned(offset + tensor.bytes.size());
  }
  std::string text = write_case(c);  // canonical JSON: no newline inside its strings
  std::replace(text.begin(), text.end(), '\n', ' ');
  return fmt::format("{{\"id\":{},\"case\":{},\"tensors\":{},\"free\":{}{}}}\n", id, text,
                     tensors.dump(), free,
                     threads > 0 ? fmt::format(",\"threads\":{}", threads) : std::string());
}

Outcome parse_reply(std::string_view line, uint64_t id, size_t limit, SharedMemory& memory) {
  const Json message = parse(line);
  if (value<uint64_t>(message, "id") != id) throw ProtocolError("the reply is to another request");
  const auto status = parse_name<Status>(value<std::string>(message, "status"));
  if (!status) throw ProtocolError("unknown status");
  Outcome outcome;
  outcome.status = *status;
  outcome.text = value<std::string>(message, "text");
  outcome.final = message.contains("final") && value<bool>(message, "final");
  if (message.contains("seconds")) outcome.seconds = value<double>(message, "seconds");
  for (const Json& step : member(message, "steps")) {
    StepOutput output;
    if (const Json& out = member(step, "out"); !out.is_null())
      output.out = take(out, limit, memory);
    output.lengths = value<std::vector<int64_t>>(step, "lengths");
    if (step.contains("positions"))
      output.positions = value<std::vector<int64_t>>(step, "positions");
    if (step.contains("capacity")) output.capacity = value<int64_t>(step, "capacity");
    if (step.contains("more"))
      for (const auto& [key, placed] : step.at("more").items())
        output.more[output_named(key)] = take(placed, limit, memory);
    outcome.steps.push_back(std::move(output));
  }
  return outcome;
}

Request parse_request(std::string_view line, SharedMemory& memory) {
  const Json message = parse(line);
  Request request;
  request.id = value<uint64_t>(message, "id");
  request.free = value<size_t>(message, "free");
  if (message.contains("threads")) request.threads = value<int>(message, "threads");
  request.c = parse_case(member(message, "case").dump(), "request").c;
  for (const Json& entry : member(message, "tensors")) {
    if (!entry.is_array() || entry.size() != 4)
      throw ProtocolError("expected [name, dtype, shape, offset]");
    const Placed placed = parse_placed({entry[1], entry[2], entry[3]}, memory.size());
    request.inputs.add(entry[0].get<std::string>(), copy_out(placed, memory));
  }
  return request;
}

std::string write_reply(const Request& request, const Outcome& outcome, SharedMemory& memory) {
  size_t offset = request.free;
  Json steps = Json::array();
  const auto put = [&](const Tensor& tensor) {
    Json placed = write_placed(tensor, offset);
    const size_t bytes = tensor.bytes.size();
    if (bytes > 0) std::memcpy(memory.reach(offset + bytes) + offset, tensor.bytes.data(), bytes);
    offset = aligned(offset + bytes);
    return placed;
  };
  for (const StepOutput& step : outcome.steps) {
    Json written{{"out", put(step.out)}, {"lengths", step.lengths}};
    for (const auto& [output, tensor] : step.more)
      written["more"][std::string(name(output))] = put(tensor);
    if (!step.positions.empty()) written["positions"] = step.positions;
    if (step.capacity) written["capacity"] = *step.capacity;
    steps.push_back(std::move(written));
  }
  Json reply{{"id", request.id},
             {"status", name(outcome.status)},
             {"text", outcome.text},
             {"steps", std::move(steps)}};
  if (outcome.final) reply["final"] = true;
  if (outcome.seconds > 0) reply["seconds"] = outcome.seconds;
  return dump(reply);
}

}  // namespace attnfuzz
