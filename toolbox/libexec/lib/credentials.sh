# The registry credentials that the kubelet mounts if the Sandbox has any.

CREDENTIALS=/etc/caisson/registry/credentials/config.json
MAX_CREDENTIALS_BYTES=32768

# Copies lines and redacts credentials: values in the file, passwords inside values, and lines of both, unescaped and escaped as in JSON.
# Values shorter than four bytes are not redacted, because they occur in too many words. If the input has BYTES bytes or more, its first
# line may be incomplete and is omitted.
redact() { # BYTES
	# The run time grows with the square of the file size.
	if [ "$(stat -L -c %s "$CREDENTIALS")" -gt "$MAX_CREDENTIALS_BYTES" ]; then
		cat >/dev/null
		echo "omitted: the output may contain credentials, and $CREDENTIALS is too large to redact them"
		return
	fi
	tr '\000' ' ' | LC_ALL=C awk -v file="$CREDENTIALS" -v bytes="$1" '
		function add_lines(text,    line, count, i) {
			count = split(text, line, "\n")
			for (i = 1; i <= count; i++)
				if (length(line[i]) >= 4) secret_lines[line[i]]
		}

		function decode(text,    i, bits, bit_count, value, plain) {
			for (i = 1; i <= length(text); i++) {
				value = index(DIGITS, substr(text, i, 1)) - 1
				if (value < 0) break
				bits = bits * 64 + value
				bit_count += 6
				if (bit_count >= 8) {
					bit_count -= 8
					plain = plain sprintf("%c", int(bits / POWER[bit_count]))
					bits %= POWER[bit_count]
				}
			}
			return plain
		}

		function unescape(text,    at, letter, plain) {
			while (at = index(text, "\\")) {
				letter = substr(text, at + 1, 1)
				plain = plain substr(text, 1, at - 1)
				text = substr(text, at + 2)
				if (letter == "u") {
					plain = plain utf8(hexadecimal(substr(text, 1, 4)))
					text = substr(text, 5)
				} else
					plain = plain (letter in MEANS ? MEANS[letter] : letter)
			}
			return plain text
		}

		function hexadecimal(text,    i, value) {
			for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789abcdef", tolower(substr(text, i, 1))) - 1
			return value
		}

		function utf8(code) {
			if (code < 128) return sprintf("%c", code)
			if (code < 2048) return sprintf("%c%c", 192 + int(code / 64), 128 + code % 64)
			return sprintf("%c%c%c", 224 + int(code / 4096), 128 + int(code / 64) % 64, 128 + code % 64)
		}

		function add_value(key, raw,    value) {
			value = unescape(raw)
			if (key == "auth") {
				add_lines(value)
				value = decode(value)
				add_lines(value)
				value = substr(value, index(value, ":") + 1)
			} else if (key != "password" && key != "identitytoken" && key != "registrytoken")
				return
			add_lines(raw)
			add_lines(value)
		}

		# Strings alternate with what is between them; only a key has a colon after it.
		function read_credentials(    line, text, part, count, i, string, key) {
			while ((getline line <file) > 0) text = text line "\n"
			count = split(text, part, "\"")
			for (i = 2; i < count; i += 2) {
				string = part[i]
				while (string ~ /(^|[^\\])(\\\\)*\\$/ && i < count) string = string "\"" part[++i]
				if (part[i + 1] ~ /^[ \t\r\n]*:/) {
					key = string
				} else
					add_value(key, string)
			}
		}

		function by_length(    text, i) {
			for (text in secret_lines) {
				for (i = ++secrets; i > 1 && length(secret[i - 1]) < length(text); i--) secret[i] = secret[i - 1]
				secret[i] = text
			}
		}

		function redact_line(line,    i, at, done) {
			for (i = 1; i <= secrets; i++) {
				done = ""
				while (at = index(line, secret[i])) {
					done = done substr(line, 1, at - 1) "[redacted]"
					line = substr(line, at + length(secret[i]))
				}
				line = done line
			}
			return line
		}

		BEGIN {
			DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
			POWER[0] = 1; POWER[2] = 4; POWER[4] = 16
			MEANS["n"] = "\n"; MEANS["r"] = "\r"; MEANS["t"] = "\t"; MEANS["b"] = "\b"; MEANS["f"] = "\f"
			read_credentials()
			by_length()
		}

		{
			bytes_read += length($0) + 1
			line[NR] = redact_line($0)
		}

		END {
			for (i = bytes_read < bytes ? 1 : 2; i <= NR; i++) print line[i]
		}
	'
}
