/* SPDX-License-Identifier: MIT */
/*
 * check_params_words.c - what a client is told about a request that is wrong, word for word: which
 * field, what was found there and what was expected.
 */
#include "config.h"

#include "model/chat.h"
#include "unit/params-read.h"

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"

static const struct {
    enum params_endpoint endpoint;
    const char *body, *param, *says;
} wrong[] = {
    {FOR_COMPLETIONS, "{}", "prompt", "prompt is required"},
    {FOR_COMPLETIONS, "[]", "", "the body is not a JSON object"},
    {FOR_COMPLETIONS, "{\"prompt\":7}", "prompt",
     "prompt: found 7, expected a string, an array of 1 to 64 strings, an array of token ids, or "
     "an array of 1 to 64 such arrays"},
    {FOR_COMPLETIONS, "{\"prompt\":[]}", "prompt",
     "prompt: found an array of 0, expected a string, an array of 1 to 64 strings, an array of "
     "token ids, or an array of 1 to 64 such arrays"},
    {FOR_COMPLETIONS, "{\"prompt\":[\"a\",1]}", "prompt[1]",
     "prompt[1]: found 1, expected a string like the first"},
    {FOR_COMPLETIONS, "{\"prompt\":[[1],2]}", "prompt[1]",
     "prompt[1]: found 2, expected an array of token ids like the first"},
    {FOR_COMPLETIONS, "{\"prompt\":[{}]}", "prompt[0]",
     "prompt[0]: found an object, expected a string, a token id or an array of them"},
    {FOR_COMPLETIONS, "{\"prompt\":[-1]}", "prompt[0]",
     "prompt[0]: found -1, expected a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":[[1],[1000]]}", "prompt[1][0]",
     "prompt[1][0]: found 1000, expected a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"model\":\"\"}", "model",
     "model: found a string of 0 bytes, expected a string of 1 to 256 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"model\":7}", "model",
     "model: found 7, expected a string of 1 to 256 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop\":7}", "stop",
     "stop: found 7, expected a string or an array of at most 4 strings"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop\":\"\"}", "stop",
     "stop: found a string of 0 bytes, expected a string of 1 to 256 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop\":[\"a\",\"\"]}", "stop[1]",
     "stop[1]: found a string of 0 bytes, expected a string of 1 to 256 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop\":[\"a\",null]}", "stop[1]",
     "stop[1]: found null, expected a string of 1 to 256 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop_token_ids\":7}", "stop_token_ids",
     "stop_token_ids: found 7, expected an array"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop_token_ids\":[\"a\"]}", "stop_token_ids[0]",
     "stop_token_ids[0]: found a string of 1 bytes, expected a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stop_token_ids\":[1000]}", "stop_token_ids[0]",
     "stop_token_ids[0]: found 1000, expected a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"top_k\":-2}", "top_k",
     "top_k: found -2, expected an integer from -1 to 1000"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"top_k\":1.5}", "top_k",
     "top_k: found 1.5, expected an integer from -1 to 1000"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logit_bias\":[]}", "logit_bias",
     "logit_bias: found an array of 0, expected an object"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logit_bias\":{\"a\":1}}", "logit_bias",
     "logit_bias: the name of entry 1 is not a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logit_bias\":{\"\":1}}", "logit_bias",
     "logit_bias: the name of entry 1 is not a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logit_bias\":{\"99999999999999\":1}}", "logit_bias",
     "logit_bias: the name of entry 1 is not a token id from 0 to 999"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logit_bias\":{\"5\":101}}", "logit_bias.5",
     "logit_bias.5: found 101, expected a number from -100 to 100"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logit_bias\":{\"5\":\"1\"}}", "logit_bias.5",
     "logit_bias.5: found a string of 1 bytes, expected a number from -100 to 100"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"priority\":\"high\"}", "priority",
     "priority: found a string of 4 bytes, expected an integer from -2147483648 to 2147483647"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"service_tier\":\"gold\"}", "service_tier",
     "service_tier: found a string of 4 bytes, expected \"auto\", \"default\", \"flex\" or "
     "\"priority\""},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"service_tier\":7}", "service_tier",
     "service_tier: found 7, expected a string"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"cache_salt\":\"\"}", "cache_salt",
     "cache_salt: found a string of 0 bytes, expected a string of 1 to 256 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"timeout\":0}", "timeout",
     "timeout: found 0, expected a number above 0 and at most 86400"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"timeout\":86401}", "timeout",
     "timeout: found 86401, expected a number above 0 and at most 86400"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"n\":0}", "n",
     "n: found 0, expected an integer from 1 to 8"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"n\":9}", "n",
     "n: found 9, expected an integer from 1 to 8"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"n\":1.5}", "n",
     "n: found 1.5, expected an integer from 1 to 8"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"n\":1e999}", "n",
     "n: found a number beyond any range, expected an integer from 1 to 8"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"temperature\":2.5}", "temperature",
     "temperature: found 2.5, expected a number from 0 to 2"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"temperature\":\"hot\"}", "temperature",
     "temperature: found a string of 3 bytes, expected a number from 0 to 2"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"top_p\":0}", "top_p",
     "top_p: found 0, expected a number above 0 and at most 1"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"seed\":1.5}", "seed",
     "seed: found 1.5, expected an integer of 64 bits"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"seed\":\"1\"}", "seed",
     "seed: found a string of 1 bytes, expected an integer of 64 bits"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"seed\":9223372036854775808}", "seed",
     "seed: found 9.2233720368547758e+18, expected an integer of 64 bits"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"seed\":9.3e18}", "seed",
     "seed: found 9.3e+18, expected an integer of 64 bits"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stream\":1}", "stream",
     "stream: found 1, expected true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stream_options\":[]}", "stream_options",
     "stream_options: found an array of 0, expected an object"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stream_options\":{}}", "stream_options",
     "stream_options: only allowed together with \"stream\": true"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"stream\":true,\"stream_options\":{\"include_usage\":1}}",
     "stream_options.include_usage",
     "stream_options.include_usage: found 1, expected true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"max_tokens\":0}", "max_tokens",
     "max_tokens: found 0, expected at least 1 (0 only in a completion with echo)"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"max_tokens\":-1}", "max_tokens",
     "max_tokens: found -1, expected an integer from 0 to 2147483647"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"logprobs\":21}", "logprobs",
     "logprobs: found 21, expected an integer from 0 to 20"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"best_of\":2,\"n\":3}", "best_of",
     "best_of: found 2, expected at least n, which is 3"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"best_of\":2,\"stream\":true}", "best_of",
     "best_of: more than n does not go together with \"stream\": true"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"best_of\":21}", "best_of",
     "best_of: found 21, expected an integer from 1 to 20"},
    {FOR_COMPLETIONS,
     "{\"prompt\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\","
     "\"n\",\"o\",\"p\",\"q\"],\"n\":8}",
     "n", "n: 8 answers to 17 prompts are more than 128 in one request"},
    {FOR_COMPLETIONS,
     "{\"prompt\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\","
     "\"n\",\"o\",\"p\",\"q\"],\"best_of\":8}",
     "best_of", "best_of: 8 answers to 17 prompts are more than 128 in one request"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"suffix\":\"y\"}", "suffix",
     "suffix: this model has no tokens to fill in the middle with"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"suffix\":7}", "suffix",
     "suffix: found 7, expected a string"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"ignore_eos\":true,\"stop_token_ids\":[1]}", "ignore_eos",
     "ignore_eos does not go together with stop_token_ids"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"ignore_eos\":true,\"regex\":\"a\"}", "ignore_eos",
     "ignore_eos does not go together with regex, whose text has an end"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"regex\":7}", "regex",
     "regex: found 7, expected a string of at most 8192 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"grammar\":\"\"}", "grammar",
     "grammar: found a string of 0 bytes, expected a grammar: a string that is not empty"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"guided_choice\":[]}", "guided_choice",
     "guided_choice: found an array of 0, expected an array of 1 to 4096 strings"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"guided_choice\":[\"a\",\"\"]}", "guided_choice[1]",
     "guided_choice[1]: found a string of 0 bytes, expected a string that is not empty"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"guided_json\":\"{\"}", "guided_json",
     "guided_json: not JSON: the text ends at byte 1, expected a member name in quotes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"guided_json\":\"7\"}", "guided_json",
     "guided_json: found 7, expected a JSON schema: an object, true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"json_schema\":7}", "json_schema",
     "json_schema: found 7, expected a JSON schema: an object, true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"regex\":\"a\",\"grammar\":\"root ::= \"}", "grammar",
     "grammar: an answer can be bound to one thing only, and regex is there already"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"structured_outputs\":{\"regex\":\"a\",\"choice\":[\"b\"]}}",
     "structured_outputs",
     "structured_outputs.choice: an answer can be bound to one thing only, and "
     "structured_outputs.regex is there already"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"structured_outputs\":{\"xml\":1}}", "structured_outputs",
     "structured_outputs.xml is not supported; json, regex, choice, grammar and json_object are"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"structured_outputs\":{\"regex\":1}}",
     "structured_outputs.regex",
     "structured_outputs.regex: found 1, expected a string of at most 8192 bytes"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"structured_outputs\":{\"json\":1}}",
     "structured_outputs.json",
     "structured_outputs.json: found 1, expected a JSON schema: an object, true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"structured_outputs\":{\"json_object\":1}}",
     "structured_outputs.json_object",
     "structured_outputs.json_object: found 1, expected true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"response_format\":{}}", "response_format.type",
     "response_format.type is required: \"text\", \"json_object\" or \"json_schema\""},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"response_format\":{\"type\":7}}", "response_format.type",
     "response_format.type: found 7, expected \"text\", \"json_object\" or \"json_schema\""},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"response_format\":{\"type\":\"xml\"}}",
     "response_format.type",
     "response_format.type: only \"text\", \"json_object\" or \"json_schema\" are supported"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\"}}",
     "response_format.json_schema", "response_format.json_schema is required"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":7}}",
     "response_format.json_schema", "response_format.json_schema: found 7, expected an object"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}}",
     "response_format.json_schema.schema", "response_format.json_schema.schema is required"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
     "\"a b\"}}}",
     "response_format.json_schema.name",
     "response_format.json_schema.name: found a string of 3 bytes, expected 1 to 64 letters, "
     "digits, '_' and '-'"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"strict\":"
     "1}}}",
     "response_format.json_schema.strict",
     "response_format.json_schema.strict: found 1, expected true or false"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":"
     "7}}}",
     "response_format.json_schema.schema",
     "response_format.json_schema.schema: found 7, expected a JSON schema: an object, true or "
     "false"},
    {FOR_COMPLETIONS,
     "{\"prompt\":\"x\",\"response_format\":{\"type\":\"json_object\",\"schema\":7}}",
     "response_format.schema",
     "response_format.schema: found 7, expected a JSON schema: an object, true or false"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\",\"prompt\":\"y\"}", "",
     "the member \"prompt\" stands twice in one object"},
    {FOR_COMPLETIONS, "{\"prompt\":\"x\"", "",
     "not JSON: the text ends at byte 13, expected a comma or '}'"},
    {FOR_CHAT, "{}", "messages", "messages is required"},
    {FOR_CHAT, "{\"messages\":[]}", "messages",
     "messages: found an array of 0, expected at least one message"},
    {FOR_CHAT, "{\"messages\":7}", "messages", "messages: found 7, expected an array"},
    {FOR_CHAT, "{\"messages\":[7]}", "messages[0]",
     "messages[0]: found 7, expected an object with role and content"},
    {FOR_CHAT, "{\"messages\":[{}]}", "messages[0].role", "messages[0].role is required"},
    {FOR_CHAT, "{\"messages\":[{\"role\":7}]}", "messages[0].role",
     "messages[0].role: found 7, expected system, developer, user or assistant"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content",
     "messages[0].content is required"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "messages[0].content",
     "messages[0].content: found null, expected a string or an array of text parts"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content",
     "messages[0].content: found 7, expected a string or an array of text parts"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}", "messages[0].content",
     "messages[0].content: found an array of 0, expected a string or an array of text parts"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[7]}]}", "messages[0].content[0]",
     "messages[0].content[0]: found 7, expected {\"type\": \"text\", \"text\": \"...\"}"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}",
     "messages[0].content[0]", "messages[0].content[0]: only parts of type \"text\" are supported"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}",
     "messages[0].content[0]",
     "messages[0].content[0]: found an object, expected {\"type\": \"text\", \"text\": \"...\"}"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"name\":7}]}",
     "messages[0].name", "messages[0].name: found 7, expected a string"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"audio\":{\"id\":1}}]}",
     "messages[0].audio", "messages[0].audio is not supported"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"function_call\":{}}]}",
     "messages[0].function_call", "messages[0].function_call is not supported"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"tool_calls\":[1]}]}",
     "messages[0].tool_calls", "messages[0].tool_calls: only an assistant calls functions"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\",\"tool_calls\":[1]}]}",
     "messages[0].tool_calls", "messages[0].tool_calls: only an assistant calls functions"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "messages[0].tool_call_id",
     "messages[0].tool_call_id is required"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":7}]}",
     "messages[0].tool_call_id", "messages[0].tool_call_id: found 7, expected a string"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":\"a\"}]}",
     "messages[0].tool_call_id",
     "messages[0].tool_call_id: of the calls before it none has this id and no result yet"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":7}]}",
     "messages[0].tool_calls",
     "messages[0].tool_calls: found 7, expected an array of at most 128 calls"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[7]}]}",
     "messages[0].tool_calls[0]",
     "messages[0].tool_calls[0]: found 7, expected an object with id and function"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{}]}]}",
     "messages[0].tool_calls[0].id", "messages[0].tool_calls[0].id is required"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":7}]}]}",
     "messages[0].tool_calls[0].id",
     "messages[0].tool_calls[0].id: found 7, expected a string of 1 to 256 bytes"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"x\"}]}]}",
     "messages[0].tool_calls[0].type",
     "messages[0].tool_calls[0].type: only \"function\" is supported"},
    {FOR_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\"}]}]}",
     "messages[0].tool_calls[0].function", "messages[0].tool_calls[0].function is required"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":7}]}]}",
     "messages[0].tool_calls[0].function",
     "messages[0].tool_calls[0].function: found 7, expected an object"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{}}]}]}",
     "messages[0].tool_calls[0].function.name",
     "messages[0].tool_calls[0].function.name is required"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":"
     "\"f\",\"arguments\":{}}}]}]}",
     "messages[0].tool_calls[0].function.arguments",
     "messages[0].tool_calls[0].function.arguments: found an object, expected a string"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":"
     "\"f\"}}]}]}",
     "messages[0].tool_calls[0].id",
     "messages[0].tool_calls[0].id: no message of the role tool behind it has this tool_call_id"},
    {FOR_CHAT,
     "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":"
     "\"f\"}}]},{\"role\":\"user\",\"content\":\"x\"}]}",
     "messages[0].tool_calls[0].id",
     "messages[0].tool_calls[0].id: no message of the role tool behind it has this tool_call_id"},
    {FOR_CHAT, "{" MESSAGES ",\"max_tokens\":1,\"max_completion_tokens\":2}",
     "max_completion_tokens", "max_tokens and max_completion_tokens are both given and differ"},
    {FOR_CHAT, "{" MESSAGES ",\"max_completion_tokens\":0}", "max_completion_tokens",
     "max_completion_tokens: found 0, expected at least 1 (0 only in a completion with echo)"},
    {FOR_CHAT, "{" MESSAGES ",\"top_logprobs\":3}", "top_logprobs",
     "top_logprobs: logprobs must be true for it"},
    {FOR_CHAT, "{" MESSAGES ",\"reasoning_format\":\"raw\"}", "reasoning_format",
     "reasoning_format: found a string of 3 bytes, expected \"auto\", \"deepseek\" or \"none\""},
    {FOR_CHAT, "{" MESSAGES ",\"functions\":[{}]}", "functions",
     "functions: its name here is tools; leave the field out or empty"},
    {FOR_CHAT, "{" MESSAGES ",\"function_call\":7}", "function_call",
     "function_call: found 7, expected a string or an object"},
    {FOR_CHAT, "{" MESSAGES ",\"function_call\":{\"name\":\"f\"}}", "function_call",
     "function_call: its name here is tool_choice; only \"none\" and \"auto\" are accepted"},
    {FOR_CHAT, "{" MESSAGES ",\"modalities\":[\"audio\"]}", "modalities",
     "modalities: only [\"text\"] is supported"},
    {FOR_CHAT, "{" MESSAGES ",\"store\":true}", "store",
     "store: answers are not kept; only false is supported"},
    {FOR_CHAT, "{" MESSAGES ",\"audio\":{}}", "audio", "audio: only text is supported"},
    {FOR_CHAT, "{" MESSAGES ",\"web_search_options\":{}}", "web_search_options",
     "web_search_options: nothing is searched for; leave the field out"},
    {FOR_CHAT, "{" MESSAGES ",\"moderation\":true}", "moderation",
     "moderation: moderation is not supported"},
    {FOR_CHAT, "{" MESSAGES ",\"metadata\":7}", "metadata",
     "metadata: found 7, expected an object"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[7]}", "tools[0]", "tools[0]: found 7, expected an object"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[{}]}", "tools[0].type", "tools[0].type is required"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[{\"type\":\"web\"}]}", "tools[0].type",
     "tools[0].type: only \"function\" is supported"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[{\"type\":\"function\"}]}", "tools[0].function",
     "tools[0].function is required"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":7}]}",
     "tools[0].function", "tools[0].function: found 7, expected an object"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{}}]}",
     "tools[0].function.name", "tools[0].function.name is required"},
    {FOR_CHAT, "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}",
     "tools[0].function.name",
     "tools[0].function.name: found a string of 3 bytes, expected 1 to 64 letters, digits, '_' and "
     "'-'"},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":"
     "\"function\",\"function\":{\"name\":\"f\"}}]}",
     "tools[1].function.name", "tools[1].function.name: another function is called \"f\" already"},
    {FOR_CHAT,
     "{" MESSAGES
     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":7}}]}",
     "tools[0].function.description", "tools[0].function.description: found 7, expected a string"},
    {FOR_CHAT,
     "{" MESSAGES
     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":7}}]}",
     "tools[0].function.strict", "tools[0].function.strict: found 7, expected true or false"},
    {FOR_CHAT,
     "{" MESSAGES
     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":7}}]}",
     "tools[0].function.parameters",
     "tools[0].function.parameters: found 7, expected a JSON schema: an object"},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"
     "\"type\":\"array\"}}}]}",
     "tools[0].function.parameters.type",
     "tools[0].function.parameters.type: found a string of 5 bytes, expected \"object\""},
    {FOR_CHAT, "{" MESSAGES ",\"tool_choice\":7}", "tool_choice",
     "tool_choice: found 7, expected a string or an object"},
    {FOR_CHAT, "{" MESSAGES ",\"tool_choice\":\"some\"}", "tool_choice",
     "tool_choice: found a string of 4 bytes, expected \"none\", \"auto\", \"required\", or an "
     "object with the type \"function\" or \"allowed_tools\""},
    {FOR_CHAT, "{" MESSAGES ",\"tool_choice\":\"required\"}", "tool_choice",
     "tool_choice: there are no tools to choose from"},
    {FOR_CHAT, "{" MESSAGES ",\"tool_choice\":{\"type\":\"x\"}}", "tool_choice",
     "tool_choice: found an object, expected \"none\", \"auto\", \"required\", or an object with "
     "the type \"function\" or \"allowed_tools\""},
    {FOR_CHAT, "{" MESSAGES ",\"tool_choice\":{\"type\":\"function\"}}", "tool_choice",
     "tool_choice: there are no tools to choose from"},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_"
     "choice\":{\"type\":\"function\"}}",
     "tool_choice.function.name", "tool_choice.function.name is required"},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_"
     "choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
     "tool_choice.function.name",
     "tool_choice.function.name: found \"g\", expected the name of one of the tools"},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_"
     "choice\":{\"type\":\"allowed_tools\"}}",
     "tool_choice.allowed_tools.mode", "tool_choice.allowed_tools.mode is required"},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_"
     "choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"some\"}}}",
     "tool_choice.allowed_tools.mode",
     "tool_choice.allowed_tools.mode: found a string of 4 bytes, expected \"auto\" or "
     "\"required\""},
    {FOR_CHAT,
     "{" MESSAGES ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_"
     "choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\"}}}",
     "tool_choice.allowed_tools.tools", "tool_choice.allowed_tools.tools is required"},
    {FOR_CHAT,
     "{" MESSAGES
     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":"
     "\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[]}}}",
     "tool_choice.allowed_tools.tools",
     "tool_choice.allowed_tools.tools: found an array of 0, expected an array of tools"},
    {FOR_CHAT,
     "{" MESSAGES
     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":"
     "\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[{\"type\":\"x\"}]}}}",
     "tool_choice.allowed_tools.tools[0].type",
     "tool_choice.allowed_tools.tools[0].type: only \"function\" is supported"},
    {FOR_CHAT,
     "{" MESSAGES
     ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"regex\":\"a\"}",
     "regex", "regex does not go together with tools that may be called"},
    {FOR_RESPONSES, "{}", "input", "input is required"},
    {FOR_RESPONSES, "{\"input\":7}", "input",
     "input: found 7, expected a string or an array of items"},
    {FOR_RESPONSES, "{\"input\":[]}", "input",
     "input: found an array of 0, expected a string or an array of items"},
    {FOR_RESPONSES, "{\"input\":[7]}", "input[0]",
     "input[0]: found 7, expected an object with role and content"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"web_search_call\"}]}", "input[0].type",
     "input[0].type: only items of the types message, reasoning, function_call and "
     "function_call_output are supported, not web_search_call"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"reasoning\"}]}", "input",
     "input: found an array of 1, expected a message among its items"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"a b\\n\"}]}", "input[0].type",
     "input[0].type: only items of the types message, reasoning, function_call and "
     "function_call_output are supported, not this type"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":7}]}", "input[0].type",
     "input[0].type: found 7, expected \"message\""},
    {FOR_RESPONSES, "{\"input\":[{\"content\":\"x\"}]}", "input[0].role",
     "input[0].role is required"},
    {FOR_RESPONSES, "{\"input\":[{\"role\":\"narrator\"}]}", "input[0].role",
     "input[0].role: found a string of 8 bytes, expected user, assistant, system or developer"},
    {FOR_RESPONSES, "{\"input\":[{\"role\":\"user\"}]}", "input[0].content",
     "input[0].content is required"},
    {FOR_RESPONSES, "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}",
     "input[0].content[0]",
     "input[0].content[0]: only parts of type \"input_text\" and \"output_text\" are supported"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call\"}]}", "input[0].call_id",
     "input[0].call_id is required"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"\"}]}",
     "input[0].call_id",
     "input[0].call_id: found a string of 0 bytes, expected a string that is not empty"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\"}]}",
     "input[0].arguments", "input[0].arguments is required"},
    {FOR_RESPONSES,
     "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":7}]}",
     "input[0].arguments", "input[0].arguments: found 7, expected a string"},
    {FOR_RESPONSES,
     "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"a\",\"name\":\"f\",\"arguments\":\"\"}]"
     "}",
     "input[0].call_id", "input[0].call_id: no function_call_output behind it has this call_id"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call_output\"}]}", "input[0].output",
     "input[0].output is required"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call_output\",\"output\":7}]}",
     "input[0].output", "input[0].output: found 7, expected a string or an array of text parts"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call_output\",\"output\":[7]}]}",
     "input[0].output[0]",
     "input[0].output[0]: found 7, expected {\"type\": \"input_text\", \"text\": \"...\"}"},
    {FOR_RESPONSES, "{\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\"}]}",
     "input[0].call_id", "input[0].call_id is required"},
    {FOR_RESPONSES,
     "{\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\",\"call_id\":\"a\"}]}",
     "input[0].call_id",
     "input[0].call_id: of the calls before it none has this id and no result yet"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"text\":{\"format\":7}}", "text.format",
     "text.format: found 7, expected an object"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"xml\"}}}",
     "text.format.type",
     "text.format.type: only \"text\", \"json_object\" or \"json_schema\" are supported"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}",
     "text.format.schema", "text.format.schema is required"},
    {FOR_RESPONSES,
     "{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"a b\"}}}",
     "text.format.name",
     "text.format.name: found a string of 3 bytes, expected 1 to 64 letters, digits, '_' and '-'"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"text\":{\"verbosity\":7}}", "text.verbosity",
     "text.verbosity: found 7, expected a string"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"truncation\":\"auto\"}", "truncation",
     "truncation: only \"disabled\" is supported; no part of a conversation is left out"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"truncation\":\"some\"}", "truncation",
     "truncation: found a string of 4 bytes, expected \"disabled\""},
    {FOR_RESPONSES, "{\"input\":\"x\",\"background\":true}", "background",
     "background: answers are not kept, so they cannot be fetched later; only false is supported"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"context_management\":[7]}", "context_management",
     "context_management is not supported; leave the field out or empty"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"reasoning\":{\"effort\":7}}", "reasoning",
     "reasoning: expected strings for its members"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"metadata\":{\"a\":7}}", "metadata",
     "metadata: expected names of at most 64 characters with strings of at most 512"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"include\":[\"all\"]}", "include[0]",
     "include[0]: found a string of 3 bytes, expected \"message.output_text.logprobs\""},
    {FOR_RESPONSES, "{\"input\":\"x\",\"top_logprobs\":3}", "top_logprobs",
     "top_logprobs: include must have \"message.output_text.logprobs\" for it"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"previous_response_id\":\"r\"}", "previous_response_id",
     "previous_response_id: answers are not kept; send the whole conversation as input"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"conversation\":\"c\"}", "conversation",
     "conversation: answers are not kept; send the whole conversation as input"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"prompt\":\"p\"}", "prompt",
     "prompt: prompts are not kept here; send the text as input and instructions"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"messages\":[]}", "messages",
     "messages: its name here is input"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"max_tokens\":1}", "max_tokens",
     "max_tokens: its name here is max_output_tokens"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"response_format\":{}}", "response_format",
     "response_format: its name here is text.format"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"reasoning_effort\":\"low\"}", "reasoning_effort",
     "reasoning_effort: its name here is reasoning.effort"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"max_output_tokens\":0}", "max_output_tokens",
     "max_output_tokens: found 0, expected an integer from 1 to 2147483647"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"n\":2}", "n",
     "n: found 2, expected an integer from 1 to 1"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"store\":true}", "store",
     "store: answers are not kept; only false is supported"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"instructions\":7}", "instructions",
     "instructions: found 7, expected a string"},
    {FOR_RESPONSES, "{\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]}", "tools[0].name",
     "tools[0].name is required"},
    {FOR_RESPONSES,
     "{\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}],\"tool_choice\":{"
     "\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":\"function\",\"name\":"
     "\"g\"}]}}",
     "tool_choice.tools[0].name",
     "tool_choice.tools[0].name: found \"g\", expected the name of one of the tools"},
    {FOR_TOKENIZE, "{\"content\":5}", "content", "content: found 5, expected a string"},
    {FOR_DETOKENIZE, "{\"tokens\":[1000]}", "tokens[0]",
     "tokens[0]: found 1000, expected a token id from 0 to 999"},
    {FOR_DETOKENIZE, "{\"tokens\":7}", "tokens", "tokens: found 7, expected an array"},
    {FOR_EMBEDDINGS, "{\"input\":[]}", "input",
     "input: found an array of 0, expected a string, an array of 1 to 2048 strings, an array of "
     "token ids, or an array of 1 to 2048 such arrays"},
    {FOR_EMBEDDINGS, "{\"input\":\"x\",\"encoding_format\":\"hex\"}", "encoding_format",
     "encoding_format: found a string of 3 bytes, expected \"float\" or \"base64\""},
    {FOR_EMBEDDINGS, "{\"input\":\"x\",\"dimensions\":0}", "dimensions",
     "dimensions: found 0, expected an integer from 1 to 64"},
    {FOR_EMBEDDINGS, "{\"input\":\"x\",\"dimensions\":1.5}", "dimensions",
     "dimensions: found 1.5, expected an integer from 1 to 64"},
};

START_TEST(test_words)
{
    ck_assert_msg(read_body(wrong[_i].endpoint, wrong[_i].body) < 0, "accepted: %s",
                  wrong[_i].body);
    ck_assert_str_eq(problem.text, wrong[_i].says);
    ck_assert_str_eq(problem.param, wrong[_i].param);
    ck_assert_int_eq(problem.status, 400);
    ck_assert_str_eq(problem.type, "invalid_request_error");
    params_fini(&p);
}
END_TEST

/* Too many of something. */
START_TEST(test_counts)
{
    static const struct {
        const char *head, *each, *tail, *says;
        unsigned n;
    } many[] = {
        {"{\"prompt\":[", "\"a\"", "]}",
         "prompt: found an array of 65, expected a string, an array of 1 to 64 strings, an array "
         "of "
         "token ids, or an array of 1 to 64 such arrays",
         65},
        {"{\"prompt\":\"x\",\"stop\":[", "\"a\"", "]}",
         "stop: found an array of 5, expected a string or an array of at most 4 strings", 5},
        {"{\"prompt\":\"x\",\"stop_token_ids\":[", "1", "]}",
         "stop_token_ids: found an array of 65, expected at most 64 token ids", 65},
        {"{\"prompt\":\"x\",\"guided_choice\":[", "\"a\"", "]}",
         "guided_choice: found an array of 4097, expected an array of 1 to 4096 strings", 4097},
        {"{\"prompt\":\"x\",\"json_schema\":{\"enum\":[", "1", "]}}",
         "json_schema: a schema of more than 50000 values", 50001},
        {"{\"prompt\":\"x\",\"cache_salt\":\"", "a", "\"}",
         "cache_salt: found a string of 513 bytes, expected a string of 1 to 256 bytes", 257},
    };
    struct buf b = {0};
    buf_adds(&b, many[_i].head);
    for (unsigned i = 0; i < many[_i].n; i++)
        buf_addf(&b, "%s%s", i ? "," : "", many[_i].each);
    buf_adds(&b, many[_i].tail);
    ck_assert_int_lt(read_body(FOR_COMPLETIONS, b.data), 0);
    ck_assert_str_eq(problem.text, many[_i].says);
    params_fini(&p);
    buf_free(&b);
}
END_TEST

START_TEST(test_pairs)
{
    struct buf b = {0};
    buf_adds(&b, "{\"prompt\":\"x\",\"logit_bias\":{");
    for (int i = 0; i <= PARAMS_BIASES; i++)
        buf_addf(&b, "%s\"%d\":1", i ? "," : "", i);
    buf_adds(&b, "}}");
    ck_assert_int_lt(read_body(FOR_COMPLETIONS, b.data), 0);
    ck_assert_str_eq(problem.text, "logit_bias: found 301 entries, expected at most 300");
    params_fini(&p);
    buf_reset(&b);
    buf_adds(&b, "{\"input\":\"x\",\"metadata\":{");
    for (int i = 0; i < 17; i++)
        buf_addf(&b, "%s\"%d\":\"\"", i ? "," : "", i);
    buf_adds(&b, "}}");
    ck_assert_int_lt(read_body(FOR_RESPONSES, b.data), 0);
    ck_assert_str_eq(problem.text, "metadata: found 17 pairs, expected at most 16");
    params_fini(&p);
    buf_reset(&b);
    buf_adds(&b, "{" MESSAGES ",\"tools\":[");
    for (int i = 0; i < 200; i++)
        buf_addf(&b, "%s{\"type\":\"function\",\"function\":{\"name\":\"f%d\"}}", i ? "," : "", i);
    buf_adds(&b, "]}");
    ck_assert_int_lt(read_body(FOR_CHAT, b.data), 0);
    ck_assert_str_eq(problem.text, "tools: found 200, expected at most 128");
    params_fini(&p);
    buf_free(&b);
}
END_TEST

/* Of a model that can fill in. */
START_TEST(test_suffix)
{
    model.infills = true;
    ck_assert_int_eq(read_body(FOR_COMPLETIONS, "{\"prompt\":\"x\",\"suffix\":\"y\"}"), 0);
    ck_assert_str_eq(p.suffix, "y");
    params_fini(&p);
    ck_assert_int_lt(
        read_body(FOR_COMPLETIONS, "{\"prompt\":\"x\",\"suffix\":\"y\",\"echo\":true}"), 0);
    ck_assert_str_eq(problem.text,
                     "suffix does not go together with echo: the answer is no end of a text");
    params_fini(&p);
    model.infills = false;
}
END_TEST

int main(void)
{
    model.calls = chat_calls_form("hermes");
    model.n_hidden = 64;
    Suite *suite = suite_create("params_words");
    TCase *tc = tcase_create("params_words");
    tcase_add_loop_test(tc, test_words, 0, (int)ARRAY_LEN(wrong));
    tcase_add_loop_test(tc, test_counts, 0, 6);
    tcase_add_test(tc, test_pairs);
    tcase_add_test(tc, test_suffix);
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
