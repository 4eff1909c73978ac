#include "assets.hpp"

// The assembler takes in the file; the linker finds its two ends.
#define GOFER_EMBED(name, path)                                             \
  asm(".pushsection .rodata\n"                                              \
      ".hidden gofer_asset_" #name                                          \
      "\n"                                                                  \
      ".hidden gofer_asset_end_" #name                                      \
      "\n"                                                                  \
      ".global gofer_asset_" #name                                          \
      "\n"                                                                  \
      ".global gofer_asset_end_" #name                                      \
      "\n"                                                                  \
      "gofer_asset_" #name                                                  \
      ":\n"                                                                 \
      ".incbin \"" path                                                     \
      "\"\n"                                                                \
      "gofer_asset_end_" #name                                              \
      ":\n"                                                                 \
      ".byte 0\n"                                                           \
      ".popsection\n");                                                     \
  extern "C" [[gnu::visibility("hidden")]] const char gofer_asset_##name[]; \
  extern "C" [[gnu::visibility("hidden")]] const char gofer_asset_end_##name[]

GOFER_EMBED(page, GOFER_WEB_DASHBOARD "/index.html");
GOFER_EMBED(style, GOFER_WEB_DASHBOARD "/dashboard.css");
GOFER_EMBED(script, GOFER_WEB_DASHBOARD "/dashboard.js");
GOFER_EMBED(uplot_style, GOFER_WEB_UPLOT "/uPlot.min.css");
GOFER_EMBED(uplot_script, GOFER_WEB_UPLOT "/uPlot.iife.min.js");

namespace web {

std::span<const asset> assets() noexcept {
  static const asset all[] = {
      {.name = "", .type = "text/html; charset=utf-8", .content = {gofer_asset_page, gofer_asset_end_page}},
      {.name = "dashboard.css",
       .type = "text/css; charset=utf-8",
       .content = {gofer_asset_style, gofer_asset_end_style}},
      {.name = "dashboard.js",
       .type = "text/javascript; charset=utf-8",
       .content = {gofer_asset_script, gofer_asset_end_script}},
      {.name = "uplot.css",
       .type = "text/css; charset=utf-8",
       .content = {gofer_asset_uplot_style, gofer_asset_end_uplot_style}},
      {.name = "uplot.js",
       .type = "text/javascript; charset=utf-8",
       .content = {gofer_asset_uplot_script, gofer_asset_end_uplot_script}},
  };
  return all;
}

}  // namespace web
