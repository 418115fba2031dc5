"""Data of one's own: question-answer pairs made into cases, the way QAEdit was made (arXiv 2502.11177, appendix A.2).

pairs      the file of pairs
subject    which words a question is about, by rules
rephrase   the same question in other words, by rules
relations  kinds of answers, questions of the same relation
build      pairs -> cases
server     subject and paraphrase by an OpenAI-compatible server instead
case_file  the file of cases: schema, reading, checks
review     a table to look the cases through
"""
