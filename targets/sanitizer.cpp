#include "targets/sanitizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "targets/remote.h"
#include "targets/wrapped_target.h"

namespace attnfuzz {
namespace {

namespace fs = std::filesystem;

/// A tool, and how the reports that are its own begin.
struct Tool {
  std::string_view name;
  std::array<std::string_view, 3> reports;
};
constexpr Tool tools[] = {
    {"memcheck", {"Invalid __global__", "Invalid __shared__", "Invalid __local__"}},
    {"racecheck", {"Race reported", "Race reported", "Race reported"}},
    {"initcheck", {"Uninitialized", "Uninitialized", "Uninitialized"}},
    {"synccheck", {"Barrier error", "Barrier error", "Barrier error"}},
};

constexpr std::string_view margin = "=========", program = "compute-sanitizer";

/// Bytes behind each allocation that are nobody's, so that an access there meets no neighbour.
constexpr const char* padding = "4096";
constexpr double time_to_log = 5;  ///< seconds that the tool has to write what it saw at the end

/// Lines at the margin that are no reports.
constexpr std::string_view frame[] = {
    "COMPUTE-SANITIZER",  "ERROR SUMMARY", "RACECHECK SUMMARY", "LEAK SUMMARY", "Program hit",
    "Target application", "Process",       "Unable to",         "This tool is", "No attachable"};
/// Lines below a report that tell more of it.
constexpr std::string_view telling[] = {"at ", "Address ", "and is ", "and "};

template <class Table>
bool begins_with_one_of(std::string_view text, const Table& words) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return text.starts_with(word); });
}

/// Without hexadecimal numbers and the brackets that count hazards.
std::string steady(std::string_view text) {
  std::string out;
  for (size_t k = 0; k < text.size(); ++k) {
    const std::string_view rest = text.substr(k);
    if (rest.starts_with(" [") && rest.ends_with("hazards]")) break;
    if (!rest.starts_with("0x")) {
      out += text[k];
      continue;
    }
    out += '#';
    for (k += 2; k < text.size() && std::isxdigit(static_cast<unsigned char>(text[k])) != 0; ++k) {
    }
    --k;
  }
  return out;
}

std::string on_path(std::string_view name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const fs::path file = fs::path(folder) / name;
    if (access(file.c_str(), X_OK) == 0) return file.string();
  }
  return {};
}

/// A file of its own for the log, gone at the end.
class Log {
 public:
  Log() : path_((fs::temp_directory_path() / "attnfuzz-sanitizer-XXXXXX").string()) {
    const int file = mkstemp(path_.data());
    if (file < 0) throw InputError(path_, "", "expected a file that can be made");
    close(file);
  }
  ~Log() { unlink(path_.c_str()); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  const std::string& path() const { return path_; }
  /// A new process writes it from its beginning. What it says before its first case is no case's.
  void begin() {
    read_ = 0;
    beginning_ = more();
  }
  const std::string& beginning() const { return beginning_; }
  /// What came since the last call.
  std::string more() {
    std::ifstream file(path_);
    file.seekg(read_);
    std::ostringstream text;
    text << file.rdbuf();
    read_ += static_cast<std::streamoff>(text.str().size());
    return text.str();
  }

 private:
  std::string path_;
  std::streamoff read_ = 0;
  std::string beginning_;
};

void add_reports(Outcome& outcome, const std::vector<std::string>& reports) {
  if (reports.empty()) return;
  const bool ended_well = outcome.status == Status::ok || outcome.status == Status::declined;
  if (ended_well) outcome = {Status::error, {}, std::move(outcome.steps), outcome.final};
  if (!outcome.text.empty()) outcome.text += "\n";
  outcome.text += fmt::format("{}", fmt::join(reports, "\n"));
}

class Sanitized : public WrappedTarget {
 public:
  Sanitized(std::unique_ptr<Target> target, std::unique_ptr<Log> log)
      : WrappedTarget(std::move(target)), log_(std::move(log)) {}
  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome = WrappedTarget::run(c, inputs);
    add_reports(outcome, sanitizer_reports(log_->more()));
    return outcome;
  }

 private:
  std::unique_ptr<Log> log_;
};

/// A worker under the tool. What that says before any case is run is no case's fault: the tool
/// can't look into the device, or finds something in the target's own beginning.
std::unique_ptr<Target> open_watched(const std::string& name, const std::string& tool,
                                     const WorkerCommand& command, const WorkerLimits& limits,
                                     Log& log) {
  std::unique_ptr<Target> target;
  std::string why;
  try {
    target = open_remote(name, command, limits);
  } catch (const InputError& error) {
    why = error.what();
  }
  if (const auto reports = sanitizer_reports(log.beginning() + log.more()); !reports.empty())
    why = fmt::format("{}", fmt::join(reports, "; "));
  if (why.empty()) return target;
  throw InputError("--sanitize " + tool, "",
                   fmt::format("expected {} to run {}, it says: {}", program, name, why));
}

class Strict : public WrappedTarget {
 public:
  Strict(std::unique_ptr<Target> target, const Tool& tool)
      : WrappedTarget(std::move(target)), tool_(tool) {}
  Outcome run(const Case& c, const Inputs& inputs) override {
    Outcome outcome = WrappedTarget::run(c, inputs);
    if (outcome.status != Status::ok) return outcome;
    std::istringstream lines(outcome.text);
    std::vector<std::string> reports;
    for (std::string line; std::getline(lines, line);)
      if (begins_with_one_of(line, tool_.reports)) reports.push_back(line);
    add_reports(outcome, reports);
    return outcome;
  }

 private:
  const Tool& tool_;
};

}  // namespace

std::vector<std::string> sanitizer_tools() {
  std::vector<std::string> names;
  for (const Tool& tool : tools) names.emplace_back(tool.name);
  return names;
}

std::vector<std::string> sanitizer_reports(std::string_view log) {
  std::vector<std::string> reports;
  bool inside = false;
  std::istringstream lines{std::string(log)};
  for (std::string all; std::getline(lines, all);) {
    std::string_view line = all;
    if (!line.starts_with(margin)) continue;
    line.remove_prefix(margin.size());
    const size_t text = line.find_first_not_of(' ');
    if (text == std::string_view::npos) {  // an empty line ends a report
      inside = false;
      continue;
    }
    const bool head = text <= 1;
    line.remove_prefix(text);
    for (const std::string_view kind : {"Error: ", "Warning: "})
      if (head && line.starts_with(kind)) line.remove_prefix(kind.size());
    if (head) {
      inside = !begins_with_one_of(line, frame);
      if (inside) reports.push_back(steady(line));
    } else if (inside && begins_with_one_of(line, telling)) {
      reports.back() += " " + steady(line);
    }
  }
  std::vector<std::string> once;
  for (std::string& report : reports)
    if (std::find(once.begin(), once.end(), report) == once.end())
      once.push_back(std::move(report));
  return once;
}

std::unique_ptr<Target> open_sanitized(const std::string& name, const std::string& tool,
                                       WorkerLimits limits) {
  const std::string sanitizer = on_path(program);
  if (sanitizer.empty())
    throw InputError(
        "--sanitize " + tool, "",
        fmt::format("expected {} on PATH, found none: it comes with the CUDA toolkit", program));
  auto log = std::make_unique<Log>();
  WorkerCommand command{{sanitizer, "--tool", tool}, {{"ATTNFUZZ_SANITIZED", "1"}}};
  if (tool == "memcheck") command.argv.insert(command.argv.end(), {"--padding", padding});
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  command.argv.insert(command.argv.end(), {"--log-file", log->path(), "--target-processes", "all",
                                           self, "worker", name});
  limits.end_seconds = time_to_log;
  limits.greeted = [&log = *log] { log.begin(); };
  std::unique_ptr<Target> target = open_watched(name, tool, command, limits, *log);
  return std::make_unique<Sanitized>(std::move(target), std::move(log));
}

std::unique_ptr<Target> with_strict_checker(std::unique_ptr<Target> target,
                                            const std::string& tool) {
  const Tool* found = std::find_if(std::begin(tools), std::end(tools),
                                   [&](const Tool& t) { return t.name == tool; });
  return std::make_unique<Strict>(std::move(target), *found);
}

}  // namespace attnfuzz
