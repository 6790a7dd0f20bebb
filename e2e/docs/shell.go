package docs

import (
	"regexp"
	"strings"
)

// Commands finds the commands of a shell script: each as its words, without
// the variables that are set for it. It knows as much of the shell's language
// as the examples need: quotes, comments, continued lines, pipes and lists,
// here-documents, and $(...), whose commands come after.
func Commands(script string) [][]string {
	script = hereDocument.ReplaceAllString(script, "\n")
	s := scanner{text: strings.ReplaceAll(script, "\\\n", " ")}
	s.scan()
	var commands [][]string
	for _, words := range s.commands {
		for len(words) > 0 && (assignment.MatchString(words[0]) || keywords[words[0]]) {
			words = words[1:]
		}
		if len(words) > 0 {
			commands = append(commands, words)
		}
	}
	for _, inner := range s.inner {
		commands = append(commands, Commands(inner)...)
	}
	return commands
}

var (
	assignment   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	hereDocument = regexp.MustCompile(`(?s)<<-?'?EOF'?\n.*?\nEOF\n`)
	keywords     = map[string]bool{"do": true, "then": true, "sudo": true, "timeout": true}
)

// scanner splits text into commands and words.
type scanner struct {
	text     string
	commands [][]string
	words    []string
	word     strings.Builder
	begun    bool     // a word
	inner    []string // scripts in $(...)
}

func (s *scanner) scan() {
	for at := 0; at < len(s.text); at++ {
		switch c := s.text[at]; c {
		case ' ', '\t':
			s.endWord()
		case '\n', ';', '|', '&':
			s.endCommand()
		case '\'', '"':
			at = s.quoted(at)
		case '#':
			if s.begun {
				s.add(c)
				continue
			}
			at = s.upTo(at, "\n") - 1
		case '$':
			at = s.substituted(at)
		default:
			s.add(c)
		}
	}
	s.endCommand()
}

func (s *scanner) add(c byte) {
	s.begun = true
	s.word.WriteByte(c)
}

// upTo returns where the next of the characters is, or the end.
func (s *scanner) upTo(at int, characters string) int {
	if i := strings.IndexAny(s.text[at:], characters); i >= 0 {
		return at + i
	}
	return len(s.text)
}

// quoted takes a word in quotes and returns where they end.
func (s *scanner) quoted(at int) int {
	end := min(s.upTo(at+1, s.text[at:at+1]), len(s.text))
	s.begun = true
	s.word.WriteString(s.text[at+1 : end])
	return end
}

// substituted takes $(...) as a word of one letter.
func (s *scanner) substituted(at int) int {
	if !strings.HasPrefix(s.text[at:], "$(") {
		s.add('$')
		return at
	}
	end := s.upTo(at, ")")
	s.inner = append(s.inner, s.text[at+2:end]+"\n")
	s.add('x')
	return end
}

func (s *scanner) endWord() {
	if s.begun {
		s.words = append(s.words, s.word.String())
		s.word.Reset()
		s.begun = false
	}
}

func (s *scanner) endCommand() {
	s.endWord()
	if len(s.words) > 0 {
		s.commands = append(s.commands, s.words)
		s.words = nil
	}
}
