#include "cli/app.h"

int main(int argc, char** argv) { return hexr::cli::Main(argc, argv); }
