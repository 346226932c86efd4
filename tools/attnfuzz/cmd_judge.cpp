#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "reports/judged_calls.h"
#include "targets/no_device.h"
#include "targets/recording.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/progress.h"
#include "tools/attnfuzz/session.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  std::vector<std::string> folders;
  std::string against, out;
  bool json = false;
};

/// Judges the calls of recordings, and shows each failure once.
class Judge {
 public:
  explicit Judge(const Options& options)
      : options_(options), session_(options.out, options.json), against_(open(options)) {}

  /// Judges a recording's calls.
  void judge(const std::string& folder) {
    const Recording recording = read_recording(folder);
    if (!options_.json) fmt::print("{}\n", recording_text(recording));
    std::vector<JudgedCall> calls;
    for (const RecordedCall& call : recording.calls) calls.push_back(judged(recording, call));
    if (options_.json) {
      fmt::print("{}\n",
                 calls_json(recording, calls)
                     .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    } else {
      fmt::print("{}\n{}", calls_table(calls), first_wrong_text(calls));
      tell_counts(calls);
    }
    judged_ += calls.size();
    wrong_ += std::count_if(calls.begin(), calls.end(), is_wrong);
  }

  /// A recording without calls is no pass.
  Exit finish() {
    session_.write({});
    if (judged_ == 0) spdlog::error("no call was judged: this is no pass");
    return wrong_ > 0 ? findings : judged_ > 0 ? nothing_found : own_failure;
  }

 private:
  static bool is_wrong(const JudgedCall& each) {
    return each.wrong() || (each.against && each.against->failed());
  }

  static std::unique_ptr<Target> open(const Options& options) {
    return options.against.empty() ? nullptr : options.open.open(options.against);
  }

  JudgedCall judged(const Recording& recording, const RecordedCall& call) {
    JudgedCall each{call, "", {}, {}, {}};
    const Case asked = call.asked();
    each.words = one_line(asked);
    each.asked = recorded(recording, call, asked);
    if (!call.by_config.empty())
      each.by_config = recorded(recording, call, read_case(call.by_config.string()).c);
    if (against_ != nullptr) each.against = on(*against_, asked);
    return each;
  }

  CallVerdict recorded(const Recording& recording, const RecordedCall& call, const Case& c) {
    RecordedTarget target(recording, call, c);
    return on(target, c);
  }

  /// No shrinking: a recording answers no other case, and `attnfuzz shrink` does it for a target.
  CallVerdict on(Target& target, const Case& c) {
    CallVerdict found;
    const bool runs = &target == against_.get();
    if (runs) found.outside = target.info().capabilities.rejection_reason(c);
    if (!found.outside.empty()) return found;
    ReplayableOptions unshrunk;
    unshrunk.max_tries = 0;
    unshrunk.max_diagnose = 0;
    const Finding finding = make_finding(target, c, examine(target, c), unshrunk);
    found.verdict = finding.first.verdict;
    if (!found.verdict.failed()) return found;
    found.signature = finding.signature;
    found.causes = diagnose(finding);
    session_.add(finding);
    return found;
  }

  void tell_counts(const std::vector<JudgedCall>& calls) const {
    fmt::print("{} judged, {} wrong", calls.size(),
               std::count_if(calls.begin(), calls.end(),
                             [](const JudgedCall& each) { return each.wrong(); }));
    if (against_ != nullptr) {
      const auto count = [&](bool (CallVerdict::*is)() const) {
        return std::count_if(calls.begin(), calls.end(), [&](const JudgedCall& each) {
          return each.against && ((*each.against).*is)();
        });
      };
      fmt::print("; {}: {} judged, {} wrong", options_.against, count(&CallVerdict::judged),
                 count(&CallVerdict::failed));
    }
    fmt::print("\n");
  }

  const Options& options_;
  Session session_;
  std::unique_ptr<Target> against_;
  size_t judged_ = 0;
  int64_t wrong_ = 0;
};

int judge_recordings(const Options& options) {
  Judge judge(options);
  for (const std::string& folder : options.folders) judge.judge(folder);
  return judge.finish();
}

}  // namespace

void add_judge(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("recordings", options->folders, "Folders that `attnfuzz record` wrote")
      ->required();
  app.add_option("--against", options->against,
                 "A target that runs the same calls; it is judged beside the recording");
  app.add_option("--out", options->out, "Write the findings' reports into this folder");
  app.add_flag("--json", options->json, "Print one line of JSON for each recording");
  options->open.add(app);
  app.callback([options, &exit_code] { exit_code = judge_recordings(*options); });
}

}  // namespace attnfuzz::cli
