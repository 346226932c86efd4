#include "oracle/safetensors.h"

#include <gtest/gtest.h>

#include <string>

#include "oracle/base64.h"
#include "oracle/error.h"
#include "oracle/random_case.h"

namespace attnfuzz {
namespace {

/// A file of this header and so many bytes of data, all 0.
std::string file(const std::string& header, size_t data, int64_t longer = 0) {
  std::string text;
  const uint64_t length = header.size() + static_cast<uint64_t>(longer);
  for (size_t k = 0; k < 8; ++k) text += static_cast<char>(length >> (8 * k) & 0xFF);
  return text + header + std::string(data, '\0');
}

/// What is said of a file; empty where it is read.
std::string complaint(const std::string& bytes) {
  try {
    parse_safetensors(bytes, "x.safetensors");
    return "";
  } catch (const InputError& error) {
    return error.what();
  }
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"q":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Safetensors, GivesBackWhatItWrote) {
  EXPECT_TRUE(rc::check([] {
    std::vector<NamedTensor> tensors;
    const auto count = *rc::gen::inRange(0, 4);
    for (int k = 0; k < count; ++k) {
      const auto shape = *rc::gen::container<Shape>(static_cast<size_t>(*rc::gen::inRange(0, 5)),
                                                    rc::gen::inRange<int64_t>(0, 4));
      const bool boolean = *rc::gen::arbitrary<bool>();
      const DType dtype = boolean ? DType::e4m3 : testing::any_of<DType>();
      std::vector<double> values;
      for (int64_t n = 0; n < element_count(shape); ++n)
        values.push_back(boolean ? *rc::gen::inRange(0, 2) : *rc::gen::inRange(-9, 9));
      tensors.push_back(
          {"tensor " + std::to_string(k), boolean, Tensor::from_doubles(dtype, shape, values)});
    }
    const std::vector<NamedTensor> read = parse_safetensors(write_safetensors(tensors), "x");
    RC_ASSERT(read.size() == tensors.size());
    for (const NamedTensor& each : tensors) {
      const auto same = [&](const NamedTensor& other) {
        return other.name == each.name && other.boolean == each.boolean &&
               other.tensor == each.tensor;
      };
      RC_ASSERT(std::any_of(read.begin(), read.end(), same));
    }
  }));
}

TEST(Safetensors, ReadsWhatThePackageWrites) {
  // As the safetensors package 0.6 writes {"b": ones(2, float16), "a": array([[True, False]])}.
  const std::string header =
      R"({"__metadata__":{"format":"np"},"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
      R"("a":{"dtype":"BOOL","shape":[1,2],"data_offsets":[4,6]}}      )";
  std::string bytes = file(header, 0);
  bytes += std::string("\x00\x3c\x00\x3c\x01\x00", 6);
  const std::vector<NamedTensor> read = parse_safetensors(bytes, "x");
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].tensor, Tensor::from_doubles(DType::f16, {2}, {1, 1}));
  EXPECT_TRUE(read[1].boolean);
  EXPECT_EQ(read[1].tensor.to_doubles(), (std::vector<double>{1, 0}));
}

TEST(Safetensors, NamesWhatIsWrongWithAFile) {
  const struct {
    std::string bytes, words;
  } wrong[] = {
      {"", "found only 0 bytes"},
      {"abcdefg", "found only 7 bytes"},
      {file("{}", 0, 1), "a header of at most 2 bytes, found a length of 3"},
      {file("{}", 0, -3), "a header of at most"},
      {std::string(8, '\xff'), "found a length of 18446744073709551615"},
      {file("[]", 0), "a header that is a JSON object"},
      {file("{\"q\":", 0), "header: expected JSON"},
      {file("{\"q\":1}", 0), "/q: expected an object with dtype, shape and data_offsets"},
      {file(R"({"q":1,"q":2})", 0), "each key once"},
      {file(one("I64", "[1]", "[0,8]"), 8), R"(/q/dtype: expected one of F64, F32)"},
      {file(one("F32", "[1]", "[0,4]"), 3), "/q/data_offsets: expected a begin and an end within"},
      {file(one("F32", "[2]", "[0,4]"), 4), "expected 8 bytes for F32 of shape [2], found 4"},
      {file(one("F32", "[1]", "[4,0]"), 4), "/q/data_offsets"},
      {file(one("F32", "[-1]", "[0,4]"), 4), "/q/shape: expected a list of whole numbers"},
      {file(one("F32", "[1.5]", "[0,4]"), 4), "/q/shape: expected a list of whole numbers"},
      {file(one("F32", "7", "[0,4]"), 4), "/q/shape: expected a list of whole numbers"},
      {file(one("F32", "[4294967296,4294967296]", "[0,4]"), 4), "/q/shape: expected at most"},
      {file(one("F32", "[0,4294967296,4294967296]", "[0,0]"), 0), "/q/shape: expected at most"},
      {file(one("F32", "[1]", "[0,4]"), 5), "expected 4 bytes of data"},
      {file(one("F32", "[1]", "[1,5]"), 5), "data that begin at 0"},
      {file(one("BOOL", "[1]", "[0,1]"), 0) + '\x02', "/q: expected booleans 0 and 1"},
      {file(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
            R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
            12),
       "/b/data_offsets: expected data that begin at 8"},
  };
  for (const auto& [bytes, words] : wrong) {
    EXPECT_NE(complaint(bytes).find(words), std::string::npos) << words << "\n" << complaint(bytes);
    EXPECT_EQ(complaint(bytes).find("x.safetensors"), 0U) << complaint(bytes);
  }
}

TEST(Safetensors, AnyBytesAreReadOrRefused) {
  EXPECT_TRUE(rc::check([](const std::string& noise) {
    std::string bytes = file(one("F32", "[2]", "[0,8]"), 8);
    for (size_t k = 0; k + 1 < noise.size(); k += 2)
      bytes[static_cast<unsigned char>(noise[k]) % bytes.size()] = noise[k + 1];
    complaint(bytes);
    complaint(bytes.substr(0, noise.size()));
  }));
}

TEST(Base64, IsThatOfTheStandard) {
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(to_base64(""), "");
  for (const char* wrong : {"Zm9", "Zm9v!mE=", "Zm9vYh==", "====", "Zg=a", "Z==="})
    EXPECT_FALSE(from_base64(wrong)) << wrong;
  EXPECT_TRUE(rc::check(
      [](const std::string& bytes) { RC_ASSERT(from_base64(to_base64(bytes)) == bytes); }));
}

}  // namespace
}  // namespace attnfuzz
