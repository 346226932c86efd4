#include <fmt/format.h>

#include <span>

#include "oracle/build.h"
#include "tools/attnfuzz/command_help.h"

namespace attnfuzz::cli {
namespace {

/// Text as roff takes it literally.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if (c == '\'' && out.empty())
      out += "\\&'";
    else if (c == '.' && out.empty())
      out += "\\&.";
    else
      out += c;
  }
  return out;
}

struct Entry {
  const char *name, *words;
};

constexpr Entry exits[] = {{"0", "nothing found"},
                           {"1", "findings: a target failed a case"},
                           {"2", "wrong usage or input"},
                           {"3", "attnfuzz itself failed"}};

constexpr Entry variables[] = {
    {"NO_COLOR", "If set and not empty, no colours are printed. They are on a terminal only."},
    {"ATTNFUZZ_PYTHON",
     "The interpreter of Python targets; else .venv of the checkout, else "
     "python3."},
    {"ATTNFUZZ_ADAPTERS", "Another folder of adapters for Python targets."},
    {"ATTNFUZZ_HOME",
     "Where corpus/ and targets/python/ lie; else share/attnfuzz beside "
     "the program's folder, else where attnfuzz was built from."},
};

constexpr Entry files[] = {
    {"attnfuzz-out/",
     "What a run writes (--out): summary.json, index.html, junit.xml, "
     "results.sarif, and findings/SIGNATURE/ with case.json, report.md and "
     "repro.*"},
    {"*.case.json", "A case: all that is needed to rerun one test"},
};

void section(std::string& page, const char* title, std::span<const Entry> entries) {
  page += fmt::format(".SH {}\n", title);
  for (const Entry& entry : entries)
    page += fmt::format(".TP\n.B {}\n{}\n", roff(entry.name), roff(entry.words));
}

void option(std::string& page, const OptionHelp& o) {
  std::string names;
  for (const std::string& flag : o.flags)
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(flag));
  if (names.empty())
    names = fmt::format("\\fI{}\\fR", roff(o.name));
  else if (!o.value.empty())
    names += fmt::format(" \\fI{}\\fR", roff(o.value));
  page += fmt::format(".TP\n{}\n{}{}{}\n", names, roff(o.help), o.required ? " (required)" : "",
                      o.standard.empty() ? "" : roff(fmt::format(" [{}]", o.standard)));
}

void command(std::string& page, const CommandHelp& help, const std::string& name) {
  page += fmt::format(".SS {}\n{}\n", roff(name), roff(help.help));
  for (const OptionHelp& each : help.options)
    if (each.name != "--help") option(page, each);
  if (help.options.empty())  // a program of its own
    page += fmt::format(".PP\nSee {}.\n", roff(name + " --help"));
  for (const CommandHelp& each : help.commands) command(page, each, name + " " + each.name);
}

std::string manual(const std::vector<CommandHelp>& commands) {
  std::string page = fmt::format(
      ".TH ATTNFUZZ 1 \"\" \"attnfuzz {}\" \"User Commands\"\n"
      ".SH NAME\nattnfuzz \\- find wrong attention\n"
      ".SH SYNOPSIS\n.B attnfuzz\n.I COMMAND\n.RI [ OPTION .\\|.\\|.]\n"
      ".SH DESCRIPTION\n"
      "Fuzzes attention and KV\\-cache implementations against a double\\-precision oracle, "
      "shrinks\n"
      "each failure to the smallest case that fails the same way, and names its likely cause.\n"
      ".SH COMMANDS\n",
      build::version());
  for (const CommandHelp& each : commands) command(page, each, "attnfuzz " + each.name);
  section(page, "EXIT STATUS", exits);
  section(page, "ENVIRONMENT", variables);
  section(page, "FILES", files);
  page += ".SH EXAMPLES\n.nf\n";
  for (const char* example :
       {"attnfuzz targets", "attnfuzz run -t specimen:llama4-chunked-eager --seed 1",
        "attnfuzz run -t ./libmy_attention.so --time 60s --jobs 4",
        "attnfuzz replay attnfuzz-out/findings/*/case.json -t cpu:naive"})
    page += roff(example) + "\n";
  return page + ".fi\n";
}

}  // namespace

void add_man(CLI::App& app, int& exit_code) {
  app.callback([&app, &exit_code] {
    fmt::print("{}", manual(command_help(app)));
    exit_code = nothing_found;
  });
}

}  // namespace attnfuzz::cli
