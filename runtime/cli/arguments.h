// The command line of iptq-run.
#pragma once

#include <string>
#include <vector>

struct Arguments {
  std::string model;
  std::vector<std::string> inputs;
  int threads = 1;
  int bench = 0;        // calls to time; 0: none
  int top = 5;          // classes to print
  int resize = 0;       // edge of the image before it is cropped; 0: it fits
  bool bilinear = false;
  bool each = false;    // inputs have one more dimension: a call for each entry
  bool integers = false;
  std::string out;      // prefix of .npy files to write
  std::string isa;
};

extern const char* kUsage;

// Returns false, with a message on stderr, if they are wrong.
bool parse(int count, char** values, Arguments& arguments);
