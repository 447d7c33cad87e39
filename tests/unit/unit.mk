# One program for each module: check_<module>.  Each block stands alone.

# base, engine, segment
if HAVE_CHECK
if FULL
EXTRA_DIST += tests/unit/unit.h tests/unit/engine-run.h tests/unit/loader-faults.h tests/unit/sched-drive.h
ENGINE_TESTS = check_acts check_attention check_base check_embed check_engine check_forecast \
	check_head check_hybrid check_jsontext check_log check_nan check_pace check_pool check_prefix check_proof check_rapl \
	check_same check_sampler check_sched check_sched_random check_segment check_turn
check_PROGRAMS += $(ENGINE_TESTS)
TESTS += $(ENGINE_TESTS)
check_acts_SOURCES = tests/unit/check_acts.c
check_acts_CFLAGS = $(TEST_CFLAGS)
check_acts_LDADD = $(TEST_LIBS)
check_attention_SOURCES = tests/unit/check_attention.c
check_attention_CFLAGS = $(TEST_CFLAGS)
check_attention_LDADD = $(TEST_LIBS)
check_head_SOURCES = tests/unit/check_head.c
check_head_CFLAGS = $(TEST_CFLAGS)
check_head_LDADD = $(TEST_LIBS)
check_embed_SOURCES = tests/unit/check_embed.c
check_embed_CFLAGS = $(TEST_CFLAGS)
check_embed_LDADD = $(TEST_LIBS)
check_forecast_SOURCES = tests/unit/check_forecast.c
check_forecast_CFLAGS = $(TEST_CFLAGS)
check_forecast_LDADD = $(TEST_LIBS)
check_nan_SOURCES = tests/unit/check_nan.c
check_nan_CFLAGS = $(TEST_CFLAGS)
check_nan_LDADD = $(TEST_LIBS)
check_proof_SOURCES = tests/unit/check_proof.c
check_proof_CFLAGS = $(TEST_CFLAGS)
check_proof_LDADD = $(TEST_LIBS)
check_engine_SOURCES = tests/unit/check_engine.c
check_engine_CFLAGS = $(TEST_CFLAGS)
check_engine_LDADD = $(TEST_LIBS)
check_base_SOURCES = tests/unit/check_base.c
check_base_CFLAGS = $(TEST_CFLAGS)
check_base_LDADD = $(TEST_LIBS)
check_turn_SOURCES = tests/unit/check_turn.c
check_turn_CFLAGS = $(TEST_CFLAGS)
check_turn_LDADD = $(TEST_LIBS)
check_jsontext_SOURCES = tests/unit/check_jsontext.c
check_jsontext_CFLAGS = $(TEST_CFLAGS)
check_jsontext_LDADD = $(TEST_LIBS)
check_log_SOURCES = tests/unit/check_log.c
check_log_CFLAGS = $(TEST_CFLAGS)
check_log_LDADD = $(TEST_LIBS)
check_rapl_SOURCES = tests/unit/check_rapl.c
check_rapl_CFLAGS = $(TEST_CFLAGS)
check_rapl_LDADD = $(TEST_LIBS)
check_sampler_SOURCES = tests/unit/check_sampler.c
check_sampler_CFLAGS = $(TEST_CFLAGS)
check_sampler_LDADD = $(TEST_LIBS)
check_pace_SOURCES = tests/unit/check_pace.c
check_pace_CFLAGS = $(TEST_CFLAGS)
check_pace_LDADD = $(TEST_LIBS)
check_pool_SOURCES = tests/unit/check_pool.c
check_pool_CFLAGS = $(TEST_CFLAGS)
check_pool_LDADD = $(TEST_LIBS)
check_prefix_SOURCES = tests/unit/check_prefix.c
check_prefix_CFLAGS = $(TEST_CFLAGS)
check_prefix_LDADD = $(TEST_LIBS)
check_hybrid_SOURCES = tests/unit/check_hybrid.c
check_hybrid_CFLAGS = $(TEST_CFLAGS)
check_hybrid_LDADD = $(TEST_LIBS)
check_same_SOURCES = tests/unit/check_same.c
check_same_CFLAGS = $(TEST_CFLAGS)
check_same_LDADD = $(TEST_LIBS)
check_sched_SOURCES = tests/unit/check_sched.c
check_sched_CFLAGS = $(TEST_CFLAGS)
check_sched_LDADD = $(TEST_LIBS)
check_sched_random_SOURCES = tests/unit/check_sched_random.c
check_sched_random_CFLAGS = $(TEST_CFLAGS)
check_sched_random_LDADD = $(TEST_LIBS)
check_segment_SOURCES = tests/unit/check_segment.c
check_segment_CFLAGS = $(TEST_CFLAGS)
check_segment_LDADD = $(TEST_LIBS)
endif
endif


# main
if HAVE_CHECK
if FULL
MAIN_TESTS = check_conf check_conf_models check_listen check_notify check_plan check_recall check_sandbox
check_PROGRAMS += $(MAIN_TESTS)
TESTS += $(MAIN_TESTS)
check_conf_SOURCES = tests/unit/check_conf.c tests/unit/conf-run.h
check_conf_CFLAGS = $(TEST_CFLAGS)
check_conf_LDADD = libmain.a $(TEST_LIBS)
check_conf_models_SOURCES = tests/unit/check_conf_models.c tests/unit/conf-run.h
check_conf_models_CFLAGS = $(TEST_CFLAGS)
check_conf_models_LDADD = libmain.a $(TEST_LIBS)
check_listen_SOURCES = tests/unit/check_listen.c
check_listen_CFLAGS = $(TEST_CFLAGS)
check_listen_LDADD = libmain.a $(TEST_LIBS)
check_notify_SOURCES = tests/unit/check_notify.c
check_notify_CFLAGS = $(TEST_CFLAGS)
check_notify_LDADD = libmain.a $(TEST_LIBS)
check_plan_SOURCES = tests/unit/check_plan.c
check_plan_CFLAGS = $(TEST_CFLAGS)
check_plan_LDADD = libmain.a $(TEST_LIBS)
check_recall_SOURCES = tests/unit/check_recall.c
check_recall_CFLAGS = $(TEST_CFLAGS)
check_recall_LDADD = libmain.a $(TEST_LIBS)
check_sandbox_SOURCES = tests/unit/check_sandbox.c
check_sandbox_CFLAGS = $(TEST_CFLAGS)
check_sandbox_LDADD = libmain.a $(TEST_LIBS)
endif
endif

# readers of models in a process of their own; theirs is compiled anew, with places for faults
if HAVE_CHECK
if FULL
check_PROGRAMS += check_loader
TESTS += check_loader
check_loader_SOURCES = tests/unit/check_loader.c src/model/loader-reader.c
check_loader_CPPFLAGS = $(AM_CPPFLAGS) -DLOADER_FAULTS
check_loader_CFLAGS = $(TEST_CFLAGS)
check_loader_LDADD = libmain.a $(TEST_LIBS)
endif
endif

# formats
if HAVE_CHECK
if FULL
check_PROGRAMS += check_quant check_quant_trits check_gguf check_gguf_bad check_split check_rows check_sampling check_arch check_groups check_rope \
	check_safetensors check_hf check_hf_bad check_hparams check_view check_method
TESTS += check_quant check_quant_trits check_gguf check_gguf_bad check_split check_rows check_sampling check_arch check_groups check_rope \
	check_safetensors check_hf check_hf_bad check_hparams check_view check_method
check_method_SOURCES = tests/unit/check_method.c
check_method_CFLAGS = $(TEST_CFLAGS)
check_method_LDADD = $(TEST_LIBS)
check_groups_SOURCES = tests/unit/check_groups.c
check_groups_CFLAGS = $(TEST_CFLAGS)
check_groups_LDADD = $(TEST_LIBS)
check_quant_SOURCES = tests/unit/check_quant.c tests/unit/quant-run.h
check_quant_CFLAGS = $(TEST_CFLAGS)
check_quant_LDADD = $(TEST_LIBS)
check_quant_trits_SOURCES = tests/unit/check_quant_trits.c tests/unit/quant-run.h
check_quant_trits_CFLAGS = $(TEST_CFLAGS)
check_quant_trits_LDADD = $(TEST_LIBS)
check_gguf_SOURCES = tests/unit/check_gguf.c tests/unit/gguf-files.h tools/gguf-write.h \
	tools/gguf-write.c
check_gguf_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_gguf_CFLAGS = $(TEST_CFLAGS)
check_gguf_LDADD = $(TEST_LIBS)
check_gguf_bad_SOURCES = tests/unit/check_gguf_bad.c tests/unit/gguf-files.h tools/gguf-write.h \
	tools/gguf-write.c
check_gguf_bad_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_gguf_bad_CFLAGS = $(TEST_CFLAGS)
check_gguf_bad_LDADD = $(TEST_LIBS)
check_split_SOURCES = tests/unit/check_split.c tests/unit/unit.h tools/gguf-write.h \
	tools/gguf-write.c
check_split_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_split_CFLAGS = $(TEST_CFLAGS)
check_split_LDADD = $(TEST_LIBS)
check_rows_SOURCES = tests/unit/check_rows.c tests/unit/unit.h tools/gguf-write.h \
	tools/gguf-write.c
check_rows_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_rows_CFLAGS = $(TEST_CFLAGS)
check_rows_LDADD = $(TEST_LIBS)
check_rope_SOURCES = tests/unit/check_rope.c
check_rope_CFLAGS = $(TEST_CFLAGS)
check_rope_LDADD = $(TEST_LIBS)
check_sampling_SOURCES = tests/unit/check_sampling.c tests/unit/gguf-files.h tools/gguf-write.h \
	tools/gguf-write.c
check_sampling_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_sampling_CFLAGS = $(TEST_CFLAGS)
check_sampling_LDADD = $(TEST_LIBS)
check_hf_SOURCES = tests/unit/check_hf.c tests/unit/hf-folder.h
check_hf_CFLAGS = $(TEST_CFLAGS)
check_hf_LDADD = $(TEST_LIBS)
check_hf_bad_SOURCES = tests/unit/check_hf_bad.c tests/unit/hf-folder.h
check_hf_bad_CFLAGS = $(TEST_CFLAGS)
check_hf_bad_LDADD = $(TEST_LIBS)
check_hparams_SOURCES = tests/unit/check_hparams.c
check_hparams_CFLAGS = $(TEST_CFLAGS)
check_hparams_LDADD = $(TEST_LIBS)
check_view_SOURCES = tests/unit/check_view.c
check_view_CFLAGS = $(TEST_CFLAGS)
check_view_LDADD = $(TEST_LIBS)
check_safetensors_SOURCES = tests/unit/check_safetensors.c
check_safetensors_CFLAGS = $(TEST_CFLAGS)
check_safetensors_LDADD = $(TEST_LIBS)
check_arch_SOURCES = tests/unit/check_arch.c
check_arch_CFLAGS = $(TEST_CFLAGS)
check_arch_LDADD = $(TEST_LIBS)
endif
endif
if FULL
TESTS += tests/unit/trit-model.sh tests/unit/hardening.sh
endif
EXTRA_DIST += tests/unit/trit-model.sh tests/unit/hardening.sh

# tokenizer and chat formats
if HAVE_CHECK
if FULL
TEXT_TESTS = check_utf8 check_vocab check_bpe check_tokenizer check_pipelines check_sentencepiece check_chat \
	check_grammar check_jinja check_jinja_python check_jinja_errors
TEXT_FILES = tests/unit/tok-file.h tools/gguf-write.h tools/gguf-write.c
check_PROGRAMS += $(TEXT_TESTS)
TESTS += $(TEXT_TESTS)
check_utf8_SOURCES = tests/unit/check_utf8.c
check_utf8_CFLAGS = $(TEST_CFLAGS)
check_utf8_LDADD = $(TEST_LIBS)
check_vocab_SOURCES = tests/unit/check_vocab.c $(TEXT_FILES)
check_vocab_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_vocab_CFLAGS = $(TEST_CFLAGS)
check_vocab_LDADD = $(TEST_LIBS)
check_grammar_SOURCES = tests/unit/check_grammar.c tests/unit/grammar-make.h $(TEXT_FILES)
check_grammar_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_grammar_CFLAGS = $(TEST_CFLAGS)
check_grammar_LDADD = $(TEST_LIBS)
check_bpe_SOURCES = tests/unit/check_bpe.c $(TEXT_FILES)
check_bpe_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_bpe_CFLAGS = $(TEST_CFLAGS)
check_bpe_LDADD = $(TEST_LIBS)
check_tokenizer_SOURCES = tests/unit/check_tokenizer.c $(TEXT_FILES)
check_tokenizer_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_tokenizer_CFLAGS = $(TEST_CFLAGS)
check_tokenizer_LDADD = $(TEST_LIBS)
check_pipelines_SOURCES = tests/unit/check_pipelines.c tests/unit/tok-folder.h $(TEXT_FILES)
check_pipelines_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_pipelines_CFLAGS = $(TEST_CFLAGS)
check_pipelines_LDADD = $(TEST_LIBS)
check_sentencepiece_SOURCES = tests/unit/check_sentencepiece.c tests/unit/tok-folder.h $(TEXT_FILES)
check_sentencepiece_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_sentencepiece_CFLAGS = $(TEST_CFLAGS)
check_sentencepiece_LDADD = $(TEST_LIBS)
check_jinja_SOURCES = tests/unit/check_jinja.c tests/unit/jinja-run.h $(TEXT_FILES)
check_jinja_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_jinja_CFLAGS = $(TEST_CFLAGS)
check_jinja_LDADD = $(TEST_LIBS)
check_jinja_python_SOURCES = tests/unit/check_jinja_python.c tests/unit/jinja-run.h
check_jinja_python_CFLAGS = $(TEST_CFLAGS)
check_jinja_python_LDADD = $(TEST_LIBS)
check_jinja_errors_SOURCES = tests/unit/check_jinja_errors.c tests/unit/jinja-run.h
check_jinja_errors_CFLAGS = $(TEST_CFLAGS)
check_jinja_errors_LDADD = $(TEST_LIBS)
check_chat_SOURCES = tests/unit/check_chat.c $(TEXT_FILES)
check_chat_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_chat_CFLAGS = $(TEST_CFLAGS)
check_chat_LDADD = $(TEST_LIBS)
endif
endif

# server
if HAVE_CHECK
if FULL
SERVER_TESTS = check_json check_params check_params_fields check_params_words check_text check_format \
	check_responses check_framing check_admit check_keys check_origin check_regex check_schema check_schema_bad check_trace check_agent check_tls \
	check_answer check_calls check_models check_thought check_tools
EXTRA_DIST += tests/unit/shape-run.h tests/unit/params-read.h
check_PROGRAMS += $(SERVER_TESTS)
TESTS += $(SERVER_TESTS)
check_admit_SOURCES = tests/unit/check_admit.c
check_admit_CFLAGS = $(TEST_CFLAGS)
check_admit_LDADD = $(TEST_LIBS)
check_answer_SOURCES = tests/unit/check_answer.c $(TEXT_FILES)
check_answer_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_answer_CFLAGS = $(TEST_CFLAGS)
check_answer_LDADD = $(TEST_LIBS)
check_models_SOURCES = tests/unit/check_models.c
check_models_CFLAGS = $(TEST_CFLAGS)
check_models_LDADD = $(TEST_LIBS)
check_keys_SOURCES = tests/unit/check_keys.c
check_keys_CFLAGS = $(TEST_CFLAGS)
check_keys_LDADD = $(TEST_LIBS)
check_tls_SOURCES = tests/unit/check_tls.c
check_tls_CFLAGS = $(TEST_CFLAGS)
check_tls_LDADD = $(TEST_LIBS)
check_agent_SOURCES = tests/unit/check_agent.c
check_agent_CFLAGS = $(TEST_CFLAGS)
check_agent_LDADD = $(TEST_LIBS)
check_trace_SOURCES = tests/unit/check_trace.c
check_trace_CFLAGS = $(TEST_CFLAGS)
check_trace_LDADD = $(TEST_LIBS)
check_origin_SOURCES = tests/unit/check_origin.c
check_origin_CFLAGS = $(TEST_CFLAGS)
check_origin_LDADD = $(TEST_LIBS)
check_json_SOURCES = tests/unit/check_json.c
check_json_CFLAGS = $(TEST_CFLAGS)
check_json_LDADD = $(TEST_LIBS)
check_params_SOURCES = tests/unit/check_params.c
check_params_CFLAGS = $(TEST_CFLAGS)
check_params_LDADD = $(TEST_LIBS)
check_params_fields_SOURCES = tests/unit/check_params_fields.c
check_params_fields_CFLAGS = $(TEST_CFLAGS)
check_params_fields_LDADD = $(TEST_LIBS)
check_params_words_SOURCES = tests/unit/check_params_words.c
check_params_words_CFLAGS = $(TEST_CFLAGS)
check_params_words_LDADD = $(TEST_LIBS)
check_calls_SOURCES = tests/unit/check_calls.c
check_calls_CFLAGS = $(TEST_CFLAGS)
check_calls_LDADD = $(TEST_LIBS)
check_thought_SOURCES = tests/unit/check_thought.c
check_thought_CFLAGS = $(TEST_CFLAGS)
check_thought_LDADD = $(TEST_LIBS)
check_tools_SOURCES = tests/unit/check_tools.c
check_tools_CFLAGS = $(TEST_CFLAGS)
check_tools_LDADD = $(TEST_LIBS)
check_text_SOURCES = tests/unit/check_text.c
check_text_CFLAGS = $(TEST_CFLAGS)
check_text_LDADD = $(TEST_LIBS)
check_format_SOURCES = tests/unit/check_format.c
check_format_CFLAGS = $(TEST_CFLAGS)
check_format_LDADD = $(TEST_LIBS)
check_responses_SOURCES = tests/unit/check_responses.c
check_responses_CFLAGS = $(TEST_CFLAGS)
check_responses_LDADD = $(TEST_LIBS)
check_PROGRAMS += shape-texts
shape_texts_SOURCES = tests/unit/shape-texts.c
shape_texts_CFLAGS = $(TEST_CFLAGS)
shape_texts_LDADD = $(TEST_LIBS)
check_regex_SOURCES = tests/unit/check_regex.c
check_regex_CFLAGS = $(TEST_CFLAGS)
check_regex_LDADD = $(TEST_LIBS)
check_schema_SOURCES = tests/unit/check_schema.c tests/unit/schema-run.h
check_schema_CFLAGS = $(TEST_CFLAGS)
check_schema_LDADD = $(TEST_LIBS)
check_schema_bad_SOURCES = tests/unit/check_schema_bad.c tests/unit/schema-run.h
check_schema_bad_CFLAGS = $(TEST_CFLAGS)
check_schema_bad_LDADD = $(TEST_LIBS)
check_framing_SOURCES = tests/unit/check_framing.c
check_framing_CFLAGS = $(TEST_CFLAGS)
check_framing_LDADD = $(TEST_LIBS)
endif
endif

# run-time layout, tables, choice of kernels
if HAVE_CHECK
if FULL
KERNEL_TESTS = check_layout check_table check_dispatch
check_PROGRAMS += $(KERNEL_TESTS)
TESTS += $(KERNEL_TESTS)
check_layout_SOURCES = tests/unit/check_layout.c
check_layout_CFLAGS = $(TEST_CFLAGS)
check_layout_LDADD = $(TEST_LIBS)
check_table_SOURCES = tests/unit/check_table.c
check_table_CFLAGS = $(TEST_CFLAGS)
check_table_LDADD = $(TEST_LIBS)
check_dispatch_SOURCES = tests/unit/check_dispatch.c
check_dispatch_CFLAGS = $(TEST_CFLAGS)
check_dispatch_LDADD = $(TEST_LIBS)
endif
endif

# clients and tools that measure from outside
if HAVE_CHECK
if FULL
MEASURE_TESTS = check_proc check_samples check_sse check_work
check_PROGRAMS += $(MEASURE_TESTS)
TESTS += $(MEASURE_TESTS)
check_proc_SOURCES = tests/unit/check_proc.c tools/proc.h tools/proc.c
check_proc_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
check_proc_CFLAGS = $(TEST_CFLAGS)
check_proc_LDADD = $(TEST_LIBS)
check_samples_SOURCES = tests/unit/check_samples.c
check_samples_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
check_samples_CFLAGS = $(TEST_CFLAGS)
check_samples_LDADD = libclient.a $(TEST_LIBS)
check_sse_SOURCES = tests/unit/check_sse.c
check_sse_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
check_sse_CFLAGS = $(TEST_CFLAGS)
check_sse_LDADD = libclient.a $(TEST_LIBS)
check_work_SOURCES = tests/unit/check_work.c
check_work_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/clients
check_work_CFLAGS = $(TEST_CFLAGS)
check_work_LDADD = libclient.a $(TEST_LIBS)
endif
endif
