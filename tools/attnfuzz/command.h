#pragma once
#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

namespace attnfuzz::cli {

/// Exit codes: the command line's contract with CI.
enum Exit : int {
  nothing_found = 0,
  findings = 1,
  bad_input = 2,
  own_failure = 3,  ///< and where nothing was tested
  was_interrupted = 130
};

/// A subcommand: one file cmd_<name>.cpp and one line in the table of main.cpp. `add` declares its
/// options on `app`; its callback sets `exit_code`.
struct Command {
  const char* name;
  const char* help;
  void (*add)(CLI::App& app, int& exit_code);
  bool hidden = false;
};

void add_targets(CLI::App& app, int& exit_code);
void add_run(CLI::App& app, int& exit_code);
void add_ci(CLI::App& app, int& exit_code);
void add_replay(CLI::App& app, int& exit_code);
void add_shrink(CLI::App& app, int& exit_code);
void add_measure(CLI::App& app, int& exit_code);
void add_show(CLI::App& app, int& exit_code);
void add_fuzz(CLI::App& app, int& exit_code);
void add_corpus(CLI::App& app, int& exit_code);
void add_merge(CLI::App& app, int& exit_code);
void add_report(CLI::App& app, int& exit_code);
void add_repro(CLI::App& app, int& exit_code);
void add_triage(CLI::App& app, int& exit_code);
void add_issue(CLI::App& app, int& exit_code);
void add_judge(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_causes(CLI::App& app, int& exit_code);
void add_relations(CLI::App& app, int& exit_code);
void add_env(CLI::App& app, int& exit_code);
void add_bisect(CLI::App& app, int& exit_code);
void add_check(CLI::App& app, int& exit_code);
void add_probe(CLI::App& app, int& exit_code);
void add_record(CLI::App& app, int& exit_code);
void add_new(CLI::App& app, int& exit_code);
void add_include(CLI::App& app, int& exit_code);
void add_completion(CLI::App& app, int& exit_code);
void add_man(CLI::App& app, int& exit_code);
void add_worker(CLI::App& app, int& exit_code);

/// "60s", "5m", "2h" or plain seconds; throws InputError naming `flag`.
double parse_duration(const std::string& text, const std::string& flag);

/// The case files below `dir`, sorted by path; empty if there is no such folder.
std::vector<std::filesystem::path> corpus_files(const std::filesystem::path& dir);

}  // namespace attnfuzz::cli
