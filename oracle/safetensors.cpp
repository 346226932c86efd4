#include "oracle/safetensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "oracle/error.h"
#include "oracle/strict_json.h"

namespace attnfuzz {
namespace {

using Json = nlohmann::json;

constexpr size_t length_bytes = 8;
constexpr uint64_t longest_header = 100'000'000;       // the format's own limit
constexpr uint64_t most_elements = uint64_t{1} << 40;  // beyond all memory
constexpr std::string_view metadata_key = "__metadata__";

/// A dtype by its name in a header.
struct StoredType {
  std::string_view name;
  DType dtype;
  bool boolean = false;
};
constexpr StoredType stored_types[] = {
    {"F64", DType::f64},         {"F32", DType::f32},      {"F16", DType::f16},
    {"BF16", DType::bf16},       {"F8_E4M3", DType::e4m3}, {"F8_E5M2", DType::e5m2},
    {"BOOL", DType::e4m3, true},
};

const StoredType& stored_type(DType dtype, bool boolean) {
  return *std::find_if(
      std::begin(stored_types), std::end(stored_types),
      [&](const StoredType& type) { return type.dtype == dtype && type.boolean == boolean; });
}

/// What the header says of one tensor.
struct Entry {
  std::string name;
  const StoredType* type = nullptr;
  Shape shape;
  uint64_t begin = 0, end = 0;  ///< within the data
};

/// Reads one file's text.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::vector<NamedTensor> read() {
    const Json header = parse_json(header_text(), where_ + ", header");
    if (!header.is_object()) reject("", "a header that is a JSON object");
    std::vector<Entry> entries;
    for (const auto& [name, json] : header.items())
      if (name != metadata_key) entries.push_back(entry(name, json));
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    check_layout(entries);
    std::vector<NamedTensor> tensors;
    tensors.reserve(entries.size());
    for (const Entry& each : entries) tensors.push_back(tensor(each));
    return tensors;
  }

 private:
  [[noreturn]] void reject(const std::string& path, const std::string& expected) const {
    throw InputError(where_, path, "expected " + expected);
  }

  std::string_view header_text() {
    if (bytes_.size() < length_bytes)
      reject("", fmt::format("a safetensors file, found only {} bytes", bytes_.size()));
    uint64_t length = 0;
    for (size_t k = length_bytes; k-- > 0;)
      length = length << 8 | static_cast<unsigned char>(bytes_[k]);
    const uint64_t most = std::min<uint64_t>(bytes_.size() - length_bytes, longest_header);
    if (length > most)
      reject("", fmt::format("a safetensors file with a header of at most {} bytes, found a length "
                             "of {}",
                             most, length));
    data_ = bytes_.substr(length_bytes + length);
    return bytes_.substr(length_bytes, length);
  }

  Entry entry(const std::string& name, const Json& json) const {
    const std::string path = pointer_part(name);
    if (!json.is_object() || json.size() != 3 || !json.contains("dtype") ||
        !json.contains("shape") || !json.contains("data_offsets"))
      reject(path, "an object with dtype, shape and data_offsets");
    Entry found;
    found.name = name;
    found.type = type(json.at("dtype"), path + "/dtype");
    for (const uint64_t size : whole_numbers(json.at("shape"), path + "/shape"))
      found.shape.push_back(static_cast<int64_t>(std::min(size, most_elements + 1)));
    const std::vector<uint64_t> offsets =
        whole_numbers(json.at("data_offsets"), path + "/data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_.size())
      reject(path + "/data_offsets",
             fmt::format("a begin and an end within the {} bytes of data, found [{}]", data_.size(),
                         fmt::join(offsets, ", ")));
    found.begin = offsets[0];
    found.end = offsets[1];
    check_size(found, path + "/data_offsets");
    return found;
  }

  const StoredType* type(const Json& json, const std::string& path) const {
    for (const StoredType& each : stored_types)
      if (json == each.name) return &each;
    std::vector<std::string_view> names;
    for (const StoredType& each : stored_types) names.push_back(each.name);
    reject(path, fmt::format("one of {}, found {}", fmt::join(names, ", "),
                             json.dump(-1, ' ', true, Json::error_handler_t::replace)));
  }

  std::vector<uint64_t> whole_numbers(const Json& json, const std::string& path) const {
    const bool right = json.is_array() && json.size() <= 32 &&
                       std::all_of(json.begin(), json.end(),
                                   [](const Json& number) { return number.is_number_unsigned(); });
    if (!right) reject(path, "a list of whole numbers");
    return json.get<std::vector<uint64_t>>();
  }

  /// That the shape's elements take the bytes that there are.
  void check_size(const Entry& entry, const std::string& path) const {
    uint64_t product = 1;  // of the sizes that are not 0: no product of sizes overflows
    bool empty = false;
    for (const int64_t size : entry.shape) {
      empty = empty || size == 0;
      if (size == 0) continue;
      if (product > most_elements / static_cast<uint64_t>(size))
        reject(pointer_part(entry.name) + "/shape",
               fmt::format("at most {} elements, found the shape {}", most_elements,
                           to_string(entry.shape)));
      product *= static_cast<uint64_t>(size);
    }
    const uint64_t bytes =
        empty ? 0 : product * static_cast<uint64_t>(info(entry.type->dtype).bytes);
    if (entry.end - entry.begin != bytes)
      reject(path, fmt::format("{} bytes for {} of shape {}, found {}", bytes, entry.type->name,
                               to_string(entry.shape), entry.end - entry.begin));
  }

  /// That the tensors follow each other without holes and fill the data.
  void check_layout(const std::vector<Entry>& entries) const {
    uint64_t at = 0;
    for (const Entry& each : entries) {
      if (each.begin != at)
        reject(pointer_part(each.name) + "/data_offsets",
               fmt::format("data that begin at {}, where the tensor before ends, found {}", at,
                           each.begin));
      at = each.end;
    }
    if (at != data_.size())
      reject("", fmt::format("{} bytes of data, which the header's tensors take, found {}", at,
                             data_.size()));
  }

  NamedTensor tensor(const Entry& entry) const {
    NamedTensor made{entry.name, entry.type->boolean, Tensor(entry.type->dtype, entry.shape)};
    if (entry.end > entry.begin)
      std::memcpy(made.tensor.bytes.data(), data_.data() + entry.begin, entry.end - entry.begin);
    if (!entry.type->boolean) return made;
    const std::vector<double> ones{1.0};
    std::byte one{};
    encode(DType::e4m3, ones, &one);
    for (std::byte& byte : made.tensor.bytes) {
      if (byte > std::byte{1})
        reject(pointer_part(entry.name),
               fmt::format("booleans 0 and 1, found the byte {}", std::to_integer<int>(byte)));
      if (byte == std::byte{1}) byte = one;
    }
    return made;
  }

  std::string_view bytes_, data_;
  const std::string& where_;
};

std::string bytes_of(const NamedTensor& each) {
  const std::vector<std::byte>& bytes = each.tensor.bytes;
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (each.boolean)
    for (char& byte : text) byte = byte == 0 ? '\0' : '\1';
  return text;
}

}  // namespace

std::vector<NamedTensor> parse_safetensors(std::string_view bytes, const std::string& where) {
  return Reader(bytes, where).read();
}

std::vector<NamedTensor> read_safetensors(const std::string& file) {
  std::error_code error;
  std::ifstream stream;
  std::ostringstream text;
  if (std::filesystem::is_regular_file(file, error)) stream.open(file, std::ios::binary);
  if (stream.is_open()) text << stream.rdbuf();
  if (!stream.is_open() || text.fail())
    throw InputError(file, "", "expected a readable safetensors file that is not empty");
  return parse_safetensors(text.view(), file);
}

std::string write_safetensors(const std::vector<NamedTensor>& tensors) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  size_t at = 0;
  for (const NamedTensor& each : tensors) {
    const size_t end = at + each.tensor.bytes.size();
    header[each.name] = {{"dtype", stored_type(each.tensor.dtype, each.boolean).name},
                         {"shape", each.tensor.shape},
                         {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + length_bytes - 1) / length_bytes * length_bytes, ' ');
  std::string file;
  for (size_t k = 0; k < length_bytes; ++k)
    file += static_cast<char>(static_cast<uint64_t>(text.size()) >> (8 * k) & 0xFF);
  file += text;
  for (const NamedTensor& each : tensors) file += bytes_of(each);
  return file;
}

}  // namespace attnfuzz
