#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "fuzz/measure/measure.h"
#include "oracle/case_io.h"
#include "tools/attnfuzz/checks.h"
#include "tools/attnfuzz/command.h"
#include "tools/attnfuzz/target_options.h"

namespace attnfuzz::cli {
namespace {

struct Options {
  TargetOptions open;
  std::vector<std::string> files;
  std::string target;
  bool json = false;
  int64_t runs = 4000;
  double seconds = 60;
};

void print_json(const measure::Measurement& measured) {
  nlohmann::ordered_json json{
      {"cases", measured.cases}, {"runs", measured.runs}, {"seconds", measured.seconds}};
  json["statements"] = nlohmann::ordered_json::array();
  for (const measure::Statement& each : measured.statements)
    json["statements"].push_back({{"about", each.about}, {"words", each.words}});
  fmt::print("{}\n", json.dump(2));
}

int measure_files(const Options& options) {
  std::vector<Case> cases;
  for (const std::string& file : options.files) cases.push_back(read_case(file).c);
  const std::unique_ptr<Target> target =
      options.open.open_for(options.target, cases.front(), options.files.front());
  measure::Budget budget(options.runs, options.seconds);
  const measure::Measurement measured = measure::measure(*target, cases, budget);
  if (options.json) {
    print_json(measured);
  } else {
    fmt::print("{} runs of {} case{}, {:.1f} s\n", measured.runs, measured.cases,
               measured.cases == 1 ? "" : "s", measured.seconds);
    for (const measure::Statement& each : measured.statements)
      fmt::print("{}: {}\n", each.about, each.words);
    if (measured.statements.empty()) fmt::print("no difference from what the case says was seen\n");
  }
  return measured.statements.empty() ? nothing_found : findings;
}

}  // namespace

void add_measure(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  app.add_option("cases", options->files, "The cases to measure, each claimed by the target")
      ->required();
  app.add_option("-t,--target", options->target, "The target")->required();
  app.add_flag("--json", options->json, "Print JSON");
  app.add_option("--runs", options->runs, "Runs that the measurement may cost")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--seconds", options->seconds, "Seconds that the measurement may take")
      ->capture_default_str();
  options->open.add(app);
  app.callback([options, &exit_code] { exit_code = measure_files(*options); });
}

}  // namespace attnfuzz::cli
