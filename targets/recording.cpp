#include "targets/recording.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "oracle/safetensors.h"
#include "oracle/strict_json.h"
#include "oracle/suggest.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* file_name = "recording.json";
constexpr const char* version_key = "attnfuzz_recording";

/// An object of the file, whose keys are taken one by one.
class Object {
 public:
  Object(const Json& json, const fs::path& file, std::string path)
      : json_(json), file_(file), path_(std::move(path)) {
    if (!json.is_object()) reject("", "an object");
  }

  [[noreturn]] void reject(const std::string& key, const std::string& expected) const {
    throw InputError(file_.string(), path_ + (key.empty() ? "" : pointer_part(key)),
                     "expected " + expected);
  }

  /// The value of a key, null if there is none.
  const Json* find(const std::string& key) {
    known_.push_back(key);
    const auto found = json_.find(key);
    return found == json_.end() ? nullptr : &*found;
  }

  std::string text(const std::string& key) {
    const Json* value = find(key);
    if (value == nullptr) return "";
    if (!value->is_string()) reject(key, "a text");
    return value->get<std::string>();
  }

  std::optional<int64_t> count(const std::string& key) {
    const Json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_number_unsigned() || value->get<uint64_t>() > INT64_MAX)
      reject(key, "an integer of at least 0");
    return value->get<int64_t>();
  }

  /// Any object, as JSON.
  std::string object(const std::string& key) {
    const Json* value = find(key);
    if (value == nullptr) return "";
    if (!value->is_object()) reject(key, "an object");
    return value->dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  std::map<std::string, std::string> texts(const std::string& key) {
    std::map<std::string, std::string> all;
    const Json* value = find(key);
    if (value == nullptr) return all;
    if (!value->is_object()) reject(key, "an object of texts");
    for (const auto& [name, each] : value->items()) {
      if (!each.is_string()) reject(key, "an object of texts");
      all[name] = each.get<std::string>();
    }
    return all;
  }

  /// A file below the folder of this one; empty if the key is not there.
  fs::path file(const std::string& key) {
    const std::string name = text(key);
    if (find(key) == nullptr) return {};
    const fs::path path(name);
    if (name.empty() || path.is_absolute() ||
        std::find(path.begin(), path.end(), "..") != path.end())
      reject(key, fmt::format("the name of a file below the folder, found \"{}\"", name));
    return file_.parent_path() / path;
  }

  /// The objects of a list; none if the key is not there.
  std::vector<Object> objects(const std::string& key) {
    const Json* value = find(key);
    std::vector<Object> all;
    if (value == nullptr) return all;
    if (!value->is_array()) reject(key, "a list");
    for (size_t k = 0; k < value->size(); ++k)
      all.emplace_back((*value)[k], file_, fmt::format("{}/{}/{}", path_, key, k));
    return all;
  }

  void finish() const {
    for (const auto& [key, value] : json_.items())
      if (std::find(known_.begin(), known_.end(), key) == known_.end())
        throw InputError(file_.string(), path_ + pointer_part(key),
                         fmt::format("unknown key here, expected only {}{}",
                                     fmt::join(known_, ", "), did_you_mean(key, known_)));
  }

 private:
  const Json& json_;
  const fs::path& file_;
  std::string path_;
  std::vector<std::string> known_;
};

RecordedCall read_call(Object object) {
  RecordedCall call;
  call.case_file = object.file("case");
  if (call.case_file.empty()) object.reject("", "the key \"case\"");
  call.outputs = object.file("outputs");
  call.error = object.text("error");
  if (call.outputs.empty() == call.error.empty())
    object.reject("", "either \"outputs\" or the \"error\" that the call raised");
  call.by_config = object.file("by_config");
  call.function = object.text("function");
  call.module = object.text("module");
  call.where = object.text("where");
  call.layer = object.count("layer");
  call.step = object.count("step");
  call.precision = object.object("precision");
  object.object("options");
  object.finish();
  return call;
}

NotKept read_not_kept(Object object) {
  NotKept not_kept;
  not_kept.why = object.text("why");
  const std::optional<int64_t> count = object.count("count");
  if (not_kept.why.empty() || !count) object.reject("", "the keys \"why\" and \"count\"");
  not_kept.count = *count;
  not_kept.function = object.text("function");
  not_kept.where = object.text("where");
  object.finish();
  return not_kept;
}

std::string read_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream.is_open()) text << stream.rdbuf();
  if (!stream.is_open() || text.fail())
    throw InputError(file.string(), "",
                     "expected a recording: a folder with a readable recording.json");
  return text.str();
}

/// An output's step and kind by its name in the file: "out", "lse", "out.3".
struct NamedOutput {
  size_t step;
  Output output;
};
std::map<std::string, NamedOutput> output_names(const Case& c) {
  std::map<std::string, NamedOutput> names;
  const size_t steps = c.cached() ? c.steps.size() : 1;
  for (size_t step = 0; step < steps; ++step) {
    if (c.cached() && !c.steps[step].has_tokens()) continue;
    for (const Output output : c.problem.outputs)
      names[c.cached() ? fmt::format("{}.{}", name(output), step) : std::string(name(output))] = {
          step, output};
  }
  return names;
}

}  // namespace

Case RecordedCall::asked() const {
  return read_case(case_file.string()).c;
}

Outcome RecordedCall::outcome(const Case& c) const {
  Outcome outcome;
  if (outputs.empty()) {
    outcome.status = Status::error;
    outcome.text = error;
    return outcome;
  }
  outcome.steps.resize(c.cached() ? c.steps.size() : 1);
  const std::map<std::string, NamedOutput> names = output_names(c);
  std::vector<std::string> missing;
  for (const auto& [name, output] : names) missing.push_back(name);
  for (NamedTensor& each : read_safetensors(outputs.string())) {
    const auto found = names.find(each.name);
    if (found == names.end())
      throw InputError(outputs.string(), pointer_part(each.name),
                       fmt::format("expected only the outputs that the case asks for: {}",
                                   fmt::join(missing, ", ")));
    StepOutput& gave = outcome.steps[found->second.step];
    (found->second.output == Output::out ? gave.out : gave.more[found->second.output]) =
        std::move(each.tensor);
    std::erase(missing, each.name);
  }
  if (!missing.empty())
    throw InputError(outputs.string(), "",
                     fmt::format("expected the outputs that the case asks for, found no \"{}\"",
                                 missing.front()));
  return outcome;
}

Recording read_recording(const fs::path& folder) {
  const fs::path file = folder / file_name;
  const Json json = parse_json(read_text(file), file.string());
  Object object(json, file, "");
  const std::optional<int64_t> version = object.count(version_key);
  if (version != recording_version)
    object.reject(version_key, fmt::format("format version {}", recording_version));
  Recording recording;
  recording.folder = folder;
  recording.about = object.text("about");
  recording.device = object.text("device");
  recording.packages = object.texts("packages");
  recording.config = object.object("config");
  for (const Object& call : object.objects("calls")) recording.calls.push_back(read_call(call));
  for (const Object& each : object.objects("not_kept"))
    recording.not_kept.push_back(read_not_kept(each));
  object.finish();
  return recording;
}

Precision default_recorded_precision(DType dtype) {
  Precision precision = default_precision(dtype);
  precision.exp_ulps = 20;
  precision.flush_subnormals = true;
  const bool stored = dtype == DType::f16 || dtype == DType::bf16;
  if (stored) precision.p = dtype;
  if (stored) precision.scores = dtype;
  return precision;
}

Precision recorded_precision(const RecordedCall& call, DType dtype) {
  if (call.precision.empty()) return default_recorded_precision(dtype);
  return parse_capabilities(
             fmt::format(
                 R"({{"features": ["dtype:{0}", "layout:bhsd"], "precision": {{"{0}": {1}}}}})",
                 name(dtype), call.precision),
             call.case_file.string() + ", its call in recording.json")
      .precision_of(dtype);
}

RecordedTarget::RecordedTarget(const Recording& recording, const RecordedCall& call, Case c)
    : case_(std::move(c)) {
  info_.name = std::string(recorded_prefix) + (call.function.empty() ? "call" : call.function);
  const std::string package = call.function.substr(0, call.function.find_first_of(".:"));
  if (const auto found = recording.packages.find(package); found != recording.packages.end())
    info_.version = found->second;
  info_.about = "a recorded call";
  const DType dtype = case_.problem.dtype;
  info_.capabilities.precision[dtype] = recorded_precision(call, dtype);
  outcome_ = call.outcome(case_);
}

Outcome RecordedTarget::run(const Case& c, const Inputs& /*inputs*/) {
  if (c == case_) return outcome_;
  Outcome declined;
  declined.status = Status::declined;
  declined.text = "a recording answers the recorded case alone";
  return declined;
}

}  // namespace attnfuzz
