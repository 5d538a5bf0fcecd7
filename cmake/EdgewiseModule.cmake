# edgewise_module(NAME DEPENDS other_modules... PACKAGES imported_targets...)
#
# One static library edgewise_NAME from the folder's *.cc. Beside the code stand its tests and
# micro-benchmarks: *_test.cc become the program NAME_test (each test a CTest case), *_bench.cc
# become NAME_bench. Files are globbed so that adding one needs no edit here.
function(edgewise_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;PACKAGES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(benches ${sources})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench|main)\\.cc$")

  list(TRANSFORM ARG_DEPENDS PREPEND edgewise_)
  if(sources)
    add_library(edgewise_${name} STATIC ${sources})
    target_include_directories(edgewise_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(edgewise_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PACKAGES})
  else()
    add_library(edgewise_${name} INTERFACE)
    target_include_directories(edgewise_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(edgewise_${name} INTERFACE ${ARG_DEPENDS} ${ARG_PACKAGES})
  endif()

  if(EDGEWISE_TESTS AND tests)
    edgewise_test(${name}_test SOURCES ${tests} DEPENDS ${name} PACKAGES ${ARG_PACKAGES})
  endif()
  if(EDGEWISE_BENCHMARKS AND benches)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE edgewise_${name} benchmark::benchmark_main)
  endif()
endfunction()

# edgewise_test(NAME SOURCES files... DEPENDS modules... PACKAGES imported_targets...)
function(edgewise_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PACKAGES" ${ARGN})
  list(TRANSFORM ARG_DEPENDS PREPEND edgewise_)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS} ${ARG_PACKAGES} GTest::gtest_main
                                        GTest::gmock)
  target_compile_definitions(${name} PRIVATE EDGEWISE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # PRE_TEST: cases are listed when ctest runs, so a sanitizer build need not run them to build.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300)
endfunction()

# edgewise_fuzzer(NAME DEPENDS modules...): fuzz/NAME.cc with its corpus in fuzz/corpus/NAME.
function(edgewise_fuzzer name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  list(TRANSFORM ARG_DEPENDS PREPEND edgewise_)
  add_executable(${name} ${name}.cc)
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
